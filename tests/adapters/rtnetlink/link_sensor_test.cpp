#include "adapters/rtnetlink/link_sensor.hpp"

#include "adapters/lab/traffic.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <stdexcept>

namespace homeostat::rtnetlink {
namespace {

using Events = std::vector<LinkEvent>;

template <class T> T must(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().what);
    return std::move(*result);
}

void wait_until_readable(int descriptor) {
    pollfd ready{descriptor, POLLIN, 0};
    ::poll(&ready, 1, 100);
}

bool readable(int descriptor) {
    pollfd ready{descriptor, POLLIN, 0};
    return ::poll(&ready, 1, 0) == 1;
}

// The test's thread works inside a network namespace of its own, in which "uplink" is a veth whose other end
// is "far".
class RtnetlinkLinkSensor : public testing::Test {
  protected:
    void SetUp() override {
        if (::geteuid() != 0) GTEST_SKIP() << "making network namespaces needs root";
        static int count = 0;
        const auto name = "hr" + std::to_string(::getpid()) + "-" + std::to_string(++count);
        space_.emplace(must(lab::NetNamespace::create(name)));
        entered_.emplace(must(space_->enter()));
        add_uplink();
    }

    static void ip(const std::string& arguments) {
        if (auto done = lab::ip(arguments); !done) throw std::runtime_error(done.error().what);
    }

    static void add_uplink() { ip("link add uplink type veth peer name far"); }

    static void set_up() {
        ip("link set far up");
        ip("link set uplink up");
    }

    static std::unique_ptr<LinkSensor> watching(const std::vector<std::string>& names,
                                                bool counters = false) {
        return must(LinkSensor::create(SensorId{7}, names, counters));
    }

    static std::uint32_t index_of(const std::string& name) {
        auto socket = must(Socket::open());
        for (const auto& link : must(links(socket)))
            if (link.name == name) return link.index;
        return 0;
    }

    static LinkEvent down(const std::string& name) { return {name, true, false, index_of(name)}; }
    static LinkEvent up(const std::string& name) { return {name, true, true, index_of(name)}; }
    static LinkEvent absent(const std::string& name) { return {name, false, false, 0}; }

    Readings collect(LinkSensor& sensor) {
        Readings out;
        sensor.collect(now_ += Duration{100}, out);
        return out;
    }

    Events events(LinkSensor& sensor) { return collect(sensor).links; }

    // The kernel tells of a carrier on its own time. Bounded waiting for so many events.
    Events events(LinkSensor& sensor, std::size_t count) {
        Events told = events(sensor);
        for (int i = 0; i < 50 && told.size() < count; ++i) {
            wait_until_readable(sensor.descriptor());
            std::ranges::copy(events(sensor), std::back_inserter(told));
        }
        std::ranges::sort(told, {}, &LinkEvent::interface);
        return told;
    }

    std::optional<lab::NetNamespace> space_;
    std::optional<lab::Entered> entered_; // left before the namespace goes
    Instant now_ = at_ms(1'000'000);
};

TEST_F(RtnetlinkLinkSensor, TellsOfEveryManagedInterfaceAtFirstAlsoOfAnAbsentOne) {
    const auto sensor = watching({"uplink", "nowhere", "lo"});
    EXPECT_EQ(events(*sensor), (Events{down("uplink"), absent("nowhere"), up("lo")}));
    EXPECT_EQ(events(*sensor), Events{}) << "and then of changes only";
}

TEST_F(RtnetlinkLinkSensor, HasNoSeriesUnlessCountersAreAskedFor) {
    const auto sensor = watching({"lo"});
    EXPECT_TRUE(collect(*sensor).batches.empty());
}

TEST_F(RtnetlinkLinkSensor, NeedsACarrierToCallAnInterfaceUp) {
    const auto sensor = watching({"uplink"});
    events(*sensor);
    ip("link set uplink up");
    EXPECT_EQ(events(*sensor), Events{}) << "its other end is down";
    ip("link set far up");
    EXPECT_EQ(events(*sensor, 1), Events{up("uplink")});
    ip("link set far down");
    EXPECT_EQ(events(*sensor, 1), Events{down("uplink")});
}

TEST_F(RtnetlinkLinkSensor, PollsReadableWhenALinkChanges) {
    const auto sensor = watching({"lo"});
    events(*sensor);
    EXPECT_FALSE(readable(sensor->descriptor()));
    ip("link set lo down");
    EXPECT_TRUE(readable(sensor->descriptor()));
    events(*sensor);
    EXPECT_FALSE(readable(sensor->descriptor()));
}

TEST_F(RtnetlinkLinkSensor, TellsOfADeletedAndRecreatedInterface) {
    const auto sensor = watching({"uplink"});
    events(*sensor);
    const auto old_index = index_of("uplink");
    ip("link del uplink");
    EXPECT_EQ(events(*sensor), Events{absent("uplink")});
    add_uplink();
    EXPECT_EQ(events(*sensor), Events{down("uplink")});
    EXPECT_NE(index_of("uplink"), old_index);
}

TEST_F(RtnetlinkLinkSensor, TellsOfADeletionThatWasMadeGoodBeforeItLooked) {
    const auto sensor = watching({"uplink"});
    events(*sensor);
    ip("link del uplink");
    add_uplink();
    EXPECT_EQ(events(*sensor), (Events{absent("uplink"), down("uplink")}));
}

TEST_F(RtnetlinkLinkSensor, TakesARenamedInterfaceForAnotherOne) {
    const auto sensor = watching({"uplink", "other"});
    events(*sensor);
    ip("link set uplink name other");
    EXPECT_EQ(events(*sensor, 2), (Events{down("other"), absent("uplink")}));
    ip("link set other name stranger");
    EXPECT_EQ(events(*sensor), Events{absent("other")});
    ip("link set far name uplink");
    EXPECT_EQ(events(*sensor), Events{down("uplink")}) << "another device that takes the name";
}

TEST_F(RtnetlinkLinkSensor, TellsOfAnInterfaceThatMovesToAnotherNamespace) {
    const auto other = must(lab::NetNamespace::create(space_->name() + "-other"));
    const auto sensor = watching({"uplink"});
    events(*sensor);
    ip("link set uplink netns " + other.name());
    EXPECT_EQ(events(*sensor), Events{absent("uplink")});
}

TEST_F(RtnetlinkLinkSensor, IsNotConfusedByTheMessagesOfABridge) {
    if (auto made = lab::ip("link add bridge type bridge"); !made) GTEST_SKIP() << made.error().what;
    set_up();
    const auto sensor = watching({"uplink"});
    events(*sensor);
    ip("link set uplink master bridge");
    ip("link set uplink nomaster");
    EXPECT_EQ(events(*sensor), Events{})
        << "a port that is removed is told as a deleted link of the bridge family";
}

TEST_F(RtnetlinkLinkSensor, AsksForTheStateOfAllWhenNotificationsWereLost) {
    const auto sensor = watching({"uplink", "far", "lo"});
    events(*sensor);
    // Small enough that a few notifications fill it.
    const int bytes = 1;
    ASSERT_EQ(::setsockopt(sensor->descriptor(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes), 0);
    for (int i = 0; i < 10; ++i) ip("link set lo mtu " + std::to_string(10'000 + i));
    ip("link del uplink");
    add_uplink();
    set_up();
    EXPECT_EQ(events(*sensor), (Events{up("uplink"), up("far")}));
    ip("link set far down");
    EXPECT_EQ(events(*sensor, 2), (Events{down("far"), down("uplink")})) << "and then goes on as before";
}

TEST_F(RtnetlinkLinkSensor, StaysWithTheNamespaceWhereItWasCreated) {
    const auto sensor = watching({"uplink"}, true);
    const auto expected = down("uplink");
    entered_.reset();
    const auto out = collect(*sensor);
    EXPECT_EQ(out.links, Events{expected});
    EXPECT_EQ(out.batches.at(0).samples.size(), 8U);
}

class RtnetlinkLinkCounters : public RtnetlinkLinkSensor {
  protected:
    // The values of the series by their metric's name and interface; it remembers the definitions.
    std::map<std::string, double> values(LinkSensor& sensor) {
        const auto out = collect(sensor);
        std::map<std::string, double> found;
        for (const auto& definition : out.batches.at(0).defined)
            series_[definition.local] = to_text(definition.labels);
        for (const auto& sample : out.batches.at(0).samples) found[series_.at(sample.local)] = sample.value;
        EXPECT_EQ(out.batches.at(0).error, "");
        return found;
    }

    std::map<std::uint32_t, std::string> series_;
};

TEST_F(RtnetlinkLinkCounters, AreThoseOfTheKernel) {
    const auto lab = must(lab::Lab::create(space_->name()));
    const auto in = [](const lab::NetNamespace& space, const std::string& link) {
        const auto entered = must(space.enter());
        return watching({link}, true);
    };
    const auto receiver = in(lab.host, "lab0");
    const auto sender = in(lab.peer, "lab1");
    const std::vector<lab::Frame> frames(25, lab::udp_frame({}, 100));
    ASSERT_EQ(values(*receiver).size(), 8U);
    ASSERT_TRUE(lab::send_frames(lab.peer, "lab1", frames));

    auto received = values(*receiver);
    for (int i = 0; i < 1000 && received["link_receive_packets_total{iface=\"lab0\"}"] < 25; ++i) {
        ::usleep(5'000);
        received = values(*receiver);
    }
    EXPECT_EQ(received["link_receive_packets_total{iface=\"lab0\"}"], 25);
    EXPECT_EQ(received["link_receive_bytes_total{iface=\"lab0\"}"], 2'500);
    EXPECT_EQ(received["link_receive_errors_total{iface=\"lab0\"}"], 0);

    series_.clear();
    auto sent = values(*sender);
    EXPECT_EQ(sent["link_transmit_packets_total{iface=\"lab1\"}"], 25);
    EXPECT_EQ(sent["link_transmit_bytes_total{iface=\"lab1\"}"], 2'500);
    EXPECT_EQ(sent["link_transmit_errors_total{iface=\"lab1\"}"], 0);
}

TEST_F(RtnetlinkLinkCounters, CarryTheSensorAndTheTimeOfTheirReading) {
    const auto sensor = watching({"lo"}, true);
    const auto out = collect(*sensor);
    ASSERT_EQ(out.batches.size(), 1U);
    EXPECT_EQ(out.batches[0].sensor, SensorId{7});
    EXPECT_EQ(out.batches[0].time, now_);
    EXPECT_EQ(out.batches[0].defined.size(), 8U);
    EXPECT_TRUE(collect(*sensor).batches.at(0).defined.empty()) << "series are defined once";
}

TEST_F(RtnetlinkLinkCounters, AreReadOncePerInstant) {
    const auto sensor = watching({"lo"}, true);
    Readings out;
    sensor->collect(now_, out);
    sensor->collect(now_, out);
    EXPECT_EQ(out.batches.size(), 1U);
}

TEST_F(RtnetlinkLinkCounters, EndWithTheirInterfaceAndBeginAnewWithTheNextOfThatName) {
    const auto sensor = watching({"uplink", "lo"}, true);
    collect(*sensor);
    ip("link del uplink");
    const auto gone = collect(*sensor).batches.at(0);
    EXPECT_EQ(gone.ended.size(), 8U);
    EXPECT_EQ(gone.samples.size(), 8U) << "those of lo go on";
    EXPECT_TRUE(collect(*sensor).batches.at(0).ended.empty());
    add_uplink();
    const auto back = collect(*sensor).batches.at(0);
    EXPECT_EQ(back.defined.size(), 8U);
    EXPECT_EQ(back.samples.size(), 16U);
}

using RtnetlinkLinks = RtnetlinkLinkSensor;

TEST_F(RtnetlinkLinks, AreListedByNameForAnErrorThatSaysWhatWouldHaveBeenRight) {
    EXPECT_EQ(must(interface_names()), (std::vector<std::string>{"lo", "far", "uplink"}));
    EXPECT_TRUE(must(exists("uplink")));
    EXPECT_FALSE(must(exists("upl1nk")));
}

TEST_F(RtnetlinkLinks, AreAllListedWhenThereAreMany) {
    for (int i = 0; i < 40; ++i)
        ip("link add many" + std::to_string(i) + " type veth peer name peer" + std::to_string(i));
    EXPECT_EQ(must(interface_names()).size(), 83U);
}

} // namespace
} // namespace homeostat::rtnetlink

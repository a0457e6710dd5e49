#include "adapters/lab/traffic.hpp"

#include "tests/adapters/lab/witness.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace homeostat::lab {
namespace {

using namespace std::chrono_literals;

constexpr std::uint16_t port = 9;

class LabTraffic : public WithPrivileges {
  protected:
    void SetUp() override {
        WithPrivileges::SetUp();
        if (!IsSkipped()) lab_.emplace(must(Lab::create(unique_tag())));
    }

    std::uint64_t reached_host() const { return packets_of(lab_->host, lab_->host_link).received; }
    std::uint64_t sent_by_host() const { return packets_of(lab_->host, lab_->host_link).transmitted; }

    // The kernel hands packets on to the receiving end on another CPU: bounded waiting for what must come.
    template <class Condition> static bool eventually(Condition condition) {
        for (int i = 0; i < 1000; ++i) {
            if (condition()) return true;
            std::this_thread::sleep_for(5ms);
        }
        return false;
    }

    bool eventually_reached_host(std::uint64_t packets) const {
        return eventually([&] { return reached_host() >= packets; }) && reached_host() == packets;
    }

    std::optional<Lab> lab_;
};

TEST_F(LabTraffic, OfAFloodIsExactlyItsCount) {
    auto sink = must(receive_udp(lab_->host, port));
    auto flood = must(flood_udp(lab_->peer, {.packets_per_second = 20'000, .bounds = {.packets = 5'000}}));
    const auto sent = flood.wait();
    EXPECT_EQ(sent.sent, 5'000U);
    EXPECT_EQ(sent.refused, 0U);
    EXPECT_TRUE(eventually_reached_host(5'000));
    const auto received = sink.stop();
    EXPECT_EQ(received.received, 5'000U);
    EXPECT_EQ(received.missed, 0U);
    EXPECT_LE(sent.first_ns, received.first_ns);
    EXPECT_LE(received.first_ns, received.last_ns);
}

TEST_F(LabTraffic, OfAFloodOverIpv6AndFromAGivenAddressIsCountedToo) {
    must([&] {
        const auto entered = must(lab_->peer.enter());
        return ip("addr add 10.77.0.99/24 dev " + lab_->peer_link);
    }());
    auto sink = must(receive_udp(lab_->host, port));
    must(flood_udp(lab_->peer, {.to = "fd77::1", .bounds = {.packets = 300}})).wait();
    must(flood_udp(lab_->peer, {.from = "10.77.0.99", .bounds = {.packets = 200}})).wait();
    EXPECT_TRUE(eventually_reached_host(500));
    EXPECT_EQ(sink.stop().received, 500U);
}

TEST_F(LabTraffic, OfAFloodIsNeverMoreThanItsRate) {
    auto flood = must(flood_udp(lab_->peer, {.packets_per_second = 10'000, .bounds = {.time = 200ms}}));
    const auto sent = flood.wait();
    EXPECT_LE(sent.sent, 2'000U);
    EXPECT_GT(sent.sent, 0U);
    EXPECT_TRUE(eventually_reached_host(sent.sent));
}

TEST_F(LabTraffic, OfAFloodEndsWhenItIsStopped) {
    auto flood = must(flood_udp(lab_->peer, {.packets_per_second = 1'000}));
    EXPECT_TRUE(eventually([&] { return flood.count().sent >= 10; }));
    const auto sent = flood.stop().sent;
    EXPECT_TRUE(eventually_reached_host(sent));
    EXPECT_EQ(flood.count().sent, sent);
}

TEST_F(LabTraffic, ThatTheLinkDidNotTakeIsRefusedAndNotSent) {
    must([&] {
        const auto entered = must(lab_->host.enter());
        return ip("link set " + lab_->host_link + " down");
    }());
    const auto sent = must(flood_udp(lab_->peer, {.bounds = {.packets = 100}})).wait();
    EXPECT_EQ(sent.sent, 0U);
    EXPECT_EQ(sent.refused, 100U);
}

TEST_F(LabTraffic, OfAReceiverEndsAtItsBounds) {
    auto sink = must(receive_udp(lab_->host, port, {.packets = 1}));
    must(flood_udp(lab_->peer, {.bounds = {.packets = 1}})).wait();
    EXPECT_EQ(sink.wait().received, 1U);
}

TEST_F(LabTraffic, OfProbesIsAnswered) {
    auto probe = must(probe_icmp(lab_->peer, {.messages_per_second = 1'000, .bounds = {.packets = 200}}));
    const auto count = probe.wait();
    EXPECT_EQ(count.sent, 200U);
    EXPECT_EQ(count.received, 200U);
    EXPECT_EQ(sent_by_host(), 200U);
}

TEST_F(LabTraffic, OfTwoProbersIsNotMixedUp) {
    auto first = must(probe_icmp(lab_->peer, {.messages_per_second = 1'000, .bounds = {.packets = 100}}));
    auto second = must(probe_icmp(lab_->peer, {.messages_per_second = 1'000, .bounds = {.packets = 50}}));
    EXPECT_EQ(first.wait().received, 100U);
    EXPECT_EQ(second.wait().received, 50U);
}

TEST_F(LabTraffic, OfProbesThatNobodyAnswersIsSentOnly) {
    must([&] {
        const auto entered = must(lab_->host.enter());
        return ip("addr del 10.77.0.1/24 dev " + lab_->host_link);
    }());
    auto probe = must(probe_icmp(lab_->peer, {.messages_per_second = 1'000, .bounds = {.packets = 5}}));
    const auto count = probe.wait();
    EXPECT_EQ(count.sent, 5U);
    EXPECT_EQ(count.received, 0U);
    EXPECT_TRUE(eventually_reached_host(5));
}

TEST_F(LabTraffic, OfAConnectionComesBackWhole) {
    auto service = must(serve_tcp_echo(lab_->host, 7));
    auto talk = must(talk_tcp(lab_->peer, {.messages_per_second = 1'000, .bounds = {.packets = 200}}));
    auto other = must(talk_tcp(lab_->peer, {.messages_per_second = 1'000, .bounds = {.packets = 100}}));
    for (auto* conversation : {&talk, &other}) {
        const auto count = conversation->wait();
        EXPECT_EQ(count.received, count.sent);
        EXPECT_EQ(count.refused, 0U);
        EXPECT_EQ(count.error, "");
    }
    const auto served = service.stop();
    EXPECT_EQ(served.received, 300U * 64);
    EXPECT_EQ(served.sent, served.received);
}

TEST_F(LabTraffic, OfAConnectionEndsWithTheReasonWhenTheServiceGoes) {
    auto service = must(serve_tcp_echo(lab_->host, 7));
    auto talk = must(talk_tcp(lab_->peer, {}));
    EXPECT_TRUE(eventually([&] { return talk.count().received > 0; }));
    service.stop();
    EXPECT_NE(talk.wait().error, "");
}

TEST_F(LabTraffic, ToAPortWithoutAServiceIsAnErrorThatNamesIt) {
    const auto talk = talk_tcp(lab_->peer, {.port = 4'242});
    ASSERT_FALSE(talk);
    EXPECT_EQ(talk.error().what, "TCP to 10.77.0.1 port 4242: connect: Connection refused");
}

TEST_F(LabTraffic, IsCarriedBothWaysAsSoonAsThereIsALab) {
    const std::vector<Frame> frames(10, udp_frame({}));
    must(send_frames(lab_->host, lab_->host_link, frames)); // the end that was up first
    must(send_frames(lab_->peer, lab_->peer_link, frames));
    EXPECT_TRUE(eventually([&] { return packets_of(lab_->peer, lab_->peer_link).received >= 10; }));
    EXPECT_TRUE(eventually([&] { return reached_host() >= 10; }));
}

TEST_F(LabTraffic, OfFramesReachesTheSocketsTheyWereBuiltFor) {
    auto sink = must(receive_udp(lab_->host, port));
    std::vector<Frame> frames;
    for (int i = 0; i < 100; ++i) {
        frames.push_back(udp_frame({}, 60 + static_cast<std::size_t>(i)));
        frames.push_back(udp_frame({.source = "fd77::2", .destination = "fd77::1"}, 1'514));
    }
    must(send_frames(lab_->peer, lab_->peer_link, frames));
    EXPECT_TRUE(eventually_reached_host(200));
    EXPECT_TRUE(eventually([&] { return sink.count().received == 200; }))
        << "a wrong checksum is not delivered";
}

TEST_F(LabTraffic, OfFramesIsAnsweredByTheKernel) {
    const Path v6{.source = "fd77::2", .destination = "fd77::1"};
    must(send_frames(
        lab_->peer, lab_->peer_link,
        std::vector<Frame>{icmp_echo_frame({}), icmp_echo_frame(v6, 80), tcp_frame({}), tcp_frame(v6)}));
    EXPECT_TRUE(eventually([&] { return sent_by_host() == 4; })) << "two echoes and two resets";
}

TEST_F(LabTraffic, OfTaggedFramesCrossesTheLinkAndReachesNoUntaggedSocket) {
    auto sink = must(receive_udp(lab_->host, port));
    std::vector<Frame> frames;
    for (const auto& vlans : {std::vector<std::uint16_t>{5}, std::vector<std::uint16_t>{6, 7}})
        for (int i = 0; i < 10; ++i) frames.push_back(udp_frame({.ethernet = {.vlans = vlans}}, 1'514));
    must(send_frames(lab_->peer, lab_->peer_link, frames));
    EXPECT_TRUE(eventually_reached_host(20));
    EXPECT_EQ(sink.stop().received, 0U);
}

TEST_F(LabTraffic, OfFramesToNoLinkIsAnErrorThatNamesIt) {
    const auto sent = send_frames(lab_->peer, "lab7", std::vector<Frame>{udp_frame({})});
    ASSERT_FALSE(sent);
    EXPECT_NE(sent.error().what.find("lab7"), std::string::npos) << sent.error().what;
}

} // namespace
} // namespace homeostat::lab

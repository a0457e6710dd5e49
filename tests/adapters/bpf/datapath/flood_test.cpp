// Changes while packets come: of a program that drops nothing gets through, of one that passes nothing is
// lost. The gaps of mode switches are printed; how long they are is the machine's affair.
#include "adapters/lab/traffic.hpp"
#include "tests/adapters/bpf/datapath/datapath_fixture.hpp"
#include "tests/adapters/bpf/datapath/transaction_states.hpp"
#include "tests/long_run.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <thread>

namespace homeostat::bpf {
namespace {

constexpr std::uint16_t discard = 9;
constexpr std::uint32_t packets_per_second = 20'000;

class FloodTest : public DatapathFixture {
  protected:
    void open(const std::vector<ProgramSource>& programs, const std::string& first) {
        open_datapath(options(), programs);
        ASSERT_FALSE(HasFatalFailure());
        apply(AttachXdp{first, {XdpMode::drv}});
    }

    Outcome apply(Step step) {
        Outcome outcome = DatapathFixture::apply({std::move(step)});
        EXPECT_TRUE(outcome.ok) << outcome.error;
        return outcome;
    }

    struct Seen {
        lab::TrafficCount sent;
        lab::TrafficCount got;

        std::uint64_t through() const { return got.received + got.missed; }
    };

    // Makes the steps one after the other, each when some packets have come since the last one, at any phase
    // of the flood's bursts.
    template <class Change> Seen under_flood(int times, const Change& change) {
        auto receiver = lab::receive_udp(lab_->host, discard);
        EXPECT_TRUE(receiver) << receiver.error().what;
        auto flood = lab::flood_udp(lab_->peer, {.packets_per_second = packets_per_second,
                                                 .bounds = {.time = std::chrono::minutes(10)}});
        EXPECT_TRUE(flood) << flood.error().what;
        std::mt19937 random(1);
        std::uniform_int_distribution<> phase(0, 1'000);
        for (int i = 0; i < times && !HasFailure(); ++i) {
            const auto before = flood->count().sent;
            while (flood->count().sent < before + 20 && flood->count().error.empty())
                std::this_thread::yield();
            const auto at = std::chrono::steady_clock::now() + std::chrono::microseconds(phase(random));
            while (std::chrono::steady_clock::now() < at) {
            } // the moment is what is tried
            change(i);
        }
        Seen seen{.sent = flood->stop(), .got = receiver->stop()};
        EXPECT_EQ(seen.sent.error, "");
        EXPECT_GE(seen.sent.sent, static_cast<std::uint64_t>(times) * 20);
        return seen;
    }

    static int times() { return is_long_run() ? 1'000 : 100; }
};

TEST_F(FloodTest, NothingGetsThroughWhileDroppingProgramsReplaceEachOther) {
    open(state_programs(), "first");
    const Seen seen =
        under_flood(times(), [&](int i) { apply(ReplaceXdp{i % 2 == 0 ? "second" : "first"}); });
    EXPECT_EQ(seen.through(), 0u) << "of " << seen.sent.sent;
    std::printf("%d replacements: %s of %s packets got through\n", times(),
                std::to_string(seen.through()).c_str(), std::to_string(seen.sent.sent).c_str());
}

TEST_F(FloodTest, NothingIsLostWhilePassingProgramsReplaceEachOther) {
    open({source("one", "counting", "count_pass"), source("other", "counting", "count_pass")}, "one");
    const Seen seen = under_flood(times(), [&](int i) { apply(ReplaceXdp{i % 2 == 0 ? "other" : "one"}); });
    EXPECT_EQ(seen.through(), seen.sent.sent);
    std::printf("%d replacements: %s of %s packets came\n", times(), std::to_string(seen.through()).c_str(),
                std::to_string(seen.sent.sent).c_str());
}

TEST_F(FloodTest, NothingGetsThroughWhileTheModeIsSwitchedUnderTheGuard) {
    open(state_programs(), "first");
    std::vector<std::int64_t> gaps;
    const Seen seen = under_flood(times(), [&](int i) {
        const Outcome outcome = apply(SwitchXdpMode{"first", {i % 2 == 0 ? XdpMode::skb : XdpMode::drv}});
        ASSERT_TRUE(outcome.gap);
        EXPECT_TRUE(outcome.gap->covered) << (outcome.notes.empty() ? "" : outcome.notes.front());
        gaps.push_back(outcome.gap->ns);
        datapath_->read_back(); // has the guard stand down
    });
    EXPECT_EQ(seen.through(), 0u) << "of " << seen.sent.sent;
    ASSERT_FALSE(gaps.empty());
    std::ranges::sort(gaps);
    const auto at = [&](double share) {
        return static_cast<double>(
                   gaps[static_cast<std::size_t>(share * static_cast<double>(gaps.size() - 1))]) /
               1e3;
    };
    std::printf("%d switches: %s of %s packets got through; gap p50 %.0f us, p99 %.0f us, maximum %.0f us\n",
                times(), std::to_string(seen.through()).c_str(), std::to_string(seen.sent.sent).c_str(),
                at(0.5), at(0.99), at(1));
}

} // namespace
} // namespace homeostat::bpf

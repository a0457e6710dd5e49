// What operators ask of a running controller, over whole ticks.
#include "engine/operator_command.hpp"
#include "tests/engine/scenario.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace homeostat::test {
namespace {

using testing::Contains;
using testing::HasSubstr;
using namespace std::chrono_literals;
using RequestKind = OperatorRequest::Kind;

const std::string flood = "[[symptom]]\nname = 'flood'\nraise = 'pps > 100'\n";

std::string overlay(const std::string& name, int priority, const std::string& setting) {
    return "[[adaptation]]\nname = '" + name + "'\nwhen = 'flood'\npriority = " + std::to_string(priority) +
           "\nset.interface.\"{{iface}}\"." + setting + "\n";
}

OperatorRequest request(RequestKind kind, const std::string& program = "", std::vector<XdpMode> ladder = {}) {
    return {
        .kind = kind, .interface = "eth0", .program = program, .ladder = std::move(ladder), .gap_max = {}};
}

std::string refusal(const Scenario& scenario, const OperatorRequest& request) {
    const auto command = command_of(scenario.state, request);
    return command ? "taken" : command.error().what;
}

// The baseline is attached to eth0 and eth1 at 0 s, and known to be at 1 s.
class OperatorCommands : public testing::Test {
  protected:
    void start(const std::vector<std::string>& policies = {}, ScenarioOptions options = {}) {
        scenario_.emplace(policies, std::move(options));
        tick();
        tick();
    }

    Decisions tick(const std::vector<std::pair<std::string, double>>& samples = {}) {
        return scenario_->tick(now_++ * 1s, samples);
    }

    // The decisions of the tick that takes it; the next one knows how it ended.
    Decisions ask(const OperatorRequest& request) {
        const auto command = command_of(scenario_->state, request);
        if (!command) throw std::runtime_error(command.error().what);
        scenario_->command(*command);
        Decisions decisions = tick();
        tick();
        return decisions;
    }

    const AttachedXdp* attached() {
        const auto& xdp = scenario_->state.knowledge.actual.at("eth0").xdp;
        return xdp ? &*xdp : nullptr;
    }
    const DesiredInterface& baseline() { return scenario_->state.baseline.at("eth0"); }

    std::optional<Scenario> scenario_;
    int now_ = 0;
};

TEST_F(OperatorCommands, AReplacementIsTheBaselineUntilTheNextReload) {
    start();
    ASSERT_EQ(attached()->program, "counter");
    const Decisions decisions = ask(request(RequestKind::replace, "guard"));
    EXPECT_THAT(decisions.messages, Contains("operator: eth0: replace guard"));
    EXPECT_EQ(baseline().program, "guard");
    EXPECT_EQ(attached()->program, "guard");
    EXPECT_EQ(scenario_->state.baseline.at("eth1").program, "counter");
    EXPECT_EQ(scenario_->state.commands_taken, 1u);

    scenario_->reload({});
    EXPECT_THAT(tick().messages, Contains("operator: what was changed on eth0 ends with the reload"));
    tick();
    EXPECT_EQ(baseline().program, "counter");
    EXPECT_EQ(attached()->program, "counter");
}

TEST_F(OperatorCommands, ASwitchChangesTheModeAndNothingElse) {
    start();
    const DesiredInterface before = baseline();
    ASSERT_EQ(attached()->mode, XdpMode::drv);
    const Decisions decisions = ask(request(RequestKind::switch_mode, "", {XdpMode::skb}));
    EXPECT_THAT(decisions.messages, Contains("operator: eth0: switch to skb"));
    EXPECT_EQ(attached()->mode, XdpMode::skb);
    DesiredInterface switched = before;
    switched.ladder = {XdpMode::skb};
    EXPECT_EQ(baseline(), switched);
}

TEST_F(OperatorCommands, TheGapThatASwitchMayLeaveIsPartOfTheBaseline) {
    start();
    OperatorRequest limited = request(RequestKind::switch_mode, "", {XdpMode::skb});
    limited.gap_max = 5ms;
    const auto command = command_of(scenario_->state, limited);
    ASSERT_TRUE(command) << command.error().what;
    EXPECT_EQ(command->baseline.gap_max, Duration{5});
}

TEST_F(OperatorCommands, ADetachmentTakesEveryProgramAwayAndAnAttachmentBringsOneBack) {
    start();
    ask(request(RequestKind::detach));
    EXPECT_EQ(attached(), nullptr);
    EXPECT_EQ(baseline().program, std::nullopt);
    EXPECT_TRUE(baseline().tc.empty());
    EXPECT_THAT(refusal(*scenario_, request(RequestKind::replace, "guard")),
                HasSubstr("nothing is attached to eth0; 'homeostat attach'"));
    EXPECT_THAT(refusal(*scenario_, request(RequestKind::switch_mode, "", {XdpMode::skb})),
                HasSubstr("nothing is attached to eth0"));

    const Decisions decisions = ask(request(RequestKind::attach, "guard", {XdpMode::skb, XdpMode::drv}));
    EXPECT_THAT(decisions.messages, Contains("operator: eth0: attach guard in skb, else drv"));
    EXPECT_EQ(attached()->program, "guard");
    EXPECT_EQ(attached()->mode, XdpMode::skb);
}

TEST_F(OperatorCommands, AnAttachmentThatNamesNoModeKeepsTheLadderThatThereIs) {
    start();
    ask(request(RequestKind::switch_mode, "", {XdpMode::skb}));
    ask(request(RequestKind::detach));
    EXPECT_THAT(ask(request(RequestKind::attach, "guard")).messages,
                Contains("operator: eth0: attach guard"));
    EXPECT_EQ(baseline().ladder, std::vector{XdpMode::skb});
    EXPECT_EQ(attached()->mode, XdpMode::skb);
}

TEST_F(OperatorCommands, WhatTheConfigurationHasNotIsRefusedWithWhatItHas) {
    start();
    EXPECT_THAT(refusal(*scenario_, request(RequestKind::attach, "gaurd")),
                HasSubstr("'gaurd' is no program of the running configuration, which has counter, guard;"));
    EXPECT_THAT(refusal(*scenario_, request(RequestKind::replace, "")), HasSubstr("'' is no program"));
    OperatorRequest elsewhere = request(RequestKind::detach);
    elsewhere.interface = "eth7";
    EXPECT_THAT(refusal(*scenario_, elsewhere),
                HasSubstr("'eth7' is no interface of the running configuration, which has eth0, eth1;"));
    EXPECT_EQ(refusal(*scenario_, request(RequestKind::detach)), "taken");
}

TEST_F(OperatorCommands, AreRefusedInShadow) {
    Scenario shadow({}, {.config_changes = {}, .failing_transactions = {}, .backwards = false});
    auto generation = std::make_shared<Generation>(*shadow.state.generation);
    generation->shadow = true;
    shadow.state.generation = generation;
    EXPECT_EQ(refusal(shadow, request(RequestKind::detach)),
              "the controller runs in shadow, and changes nothing");
}

TEST_F(OperatorCommands, AreTriedAtOnceAfterAFailureThatWouldBeWaitedOut) {
    start({}, {.config_changes = {}, .failing_transactions = {3}, .backwards = false});
    ask(request(RequestKind::replace, "guard"));
    ASSERT_EQ(attached()->program, "counter") << "the third transaction fails";
    ASSERT_GT(scenario_->state.knowledge.targets.at("eth0").failures, 0);
    scenario_->command(*command_of(scenario_->state, request(RequestKind::replace, "guard")));
    EXPECT_EQ(tick().transactions.size(), 1u);
    tick();
    EXPECT_EQ(attached()->program, "guard");
}

TEST_F(OperatorCommands, UnderAnOverlayTheBaselineWaitsAndWhatHoldsTheAttributeIsNamed) {
    start({flood, overlay("b-low", 1, "xdp.program = 'guard'"), overlay("a-modest", 1, "xdp.mode = 'skb'"),
           overlay("c-high", 7, "xdp.program = 'guard'")});
    EXPECT_EQ(holder_of(scenario_->state, "eth0", Attribute::Kind::program), "");
    tick({{"pps{iface='eth0'}", 500.0}});
    tick({{"pps{iface='eth0'}", 500.0}});
    ASSERT_EQ(attached()->program, "guard");
    EXPECT_EQ(holder_of(scenario_->state, "eth0", Attribute::Kind::program),
              R"(c-high{iface="eth0"} (priority 7))")
        << "it wins";
    EXPECT_EQ(holder_of(scenario_->state, "eth0", Attribute::Kind::mode),
              R"(a-modest{iface="eth0"} (priority 1))");
    EXPECT_EQ(holder_of(scenario_->state, "eth0", Attribute::Kind::gap_max), "");
    EXPECT_EQ(holder_of(scenario_->state, "eth1", Attribute::Kind::program), "");

    ask(request(RequestKind::detach));
    EXPECT_EQ(baseline().program, std::nullopt);
    EXPECT_EQ(attached()->program, "guard") << "the overlay lies above it";
}

TEST_F(OperatorCommands, OfEqualPrioritiesTheOverlayThatWinsIsNamedToo) {
    start(
        {flood, overlay("second", 3, "xdp.program = 'none'"), overlay("first", 3, "xdp.program = 'guard'")});
    tick({{"pps{iface='eth0'}", 500.0}});
    tick({{"pps{iface='eth0'}", 500.0}});
    EXPECT_EQ(attached()->program, "guard");
    EXPECT_EQ(holder_of(scenario_->state, "eth0", Attribute::Kind::program),
              R"(first{iface="eth0"} (priority 3))");
}

} // namespace
} // namespace homeostat::test

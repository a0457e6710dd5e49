// The commands that change an interface without a controller, and those that look before: attach, replace,
// switch, detach, gc, plan.

#include "tests/system/controller.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <net/if.h>

namespace homeostat::system_test {

namespace {

namespace json = boost::json;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const std::string objects = HOMEOSTAT_BINARY_DIR "/bpf";

class Change : public InLab {
  protected:
    void SetUp() override {
        InLab::SetUp();
        if (!IsSkipped()) config_ = files({}, {});
    }
    void TearDown() override {
        if (!IsSkipped()) run({"detach", "-c", config_});
    }

    // The instance's place is that of the configuration.
    Finished run(std::vector<std::string> words) const {
        words.insert(words.begin(), homeostat());
        return run_to_end(std::move(words), {.in = &host()});
    }
    Finished change(std::vector<std::string> words) const {
        words.insert(words.end(), {"-c", config_});
        return run(std::move(words));
    }

    void delete_lab0() const {
        const auto entered = must(host().enter());
        must(lab::ip("link del lab0"));
    }

    std::string config_;
};

TEST_F(Change, AProgramIsAttachedReplacedSwitchedAndDetachedByCommands) {
    const Finished attached_counter = change({"attach", "lab0", objects + "/xdp_counter.bpf.o"});
    EXPECT_EQ(attached_counter.code, 0) << attached_counter.errors;
    ASSERT_TRUE(attached());
    EXPECT_EQ(attached_counter.out,
              "lab0: xdp_counter (id " + std::to_string(attached_id()) + ") is attached in mode drv\n");

    const Finished again = change({"attach", "lab0", objects + "/xdp_counter.bpf.o"});
    EXPECT_EQ(again.code, 1);
    EXPECT_THAT(again.errors, HasSubstr("is already attached; replace it"));

    const std::uint32_t counter = attached_id();
    EXPECT_EQ(change({"replace", "lab0", objects + "/xdp_guard.bpf.o", "--twin", "tc_guard"}).code, 0);
    EXPECT_NE(attached_id(), counter);

    const std::uint32_t guard = attached_id();
    const Finished to_skb = change({"switch", "lab0", "skb"});
    EXPECT_EQ(to_skb.code, 0) << to_skb.errors;
    EXPECT_EQ(to_skb.errors, "");
    EXPECT_THAT(to_skb.out, HasSubstr("while switching from drv to skb, covered by the TC guard"));
    EXPECT_EQ(attached()->mode, XdpMode::skb);
    EXPECT_EQ(attached_id(), guard);
    const Finished there_already = change({"switch", "lab0", "skb"});
    EXPECT_EQ(there_already.code, 0);
    EXPECT_THAT(there_already.out, HasSubstr("it is in mode skb already"));

    const json::object told = json::parse(change({"switch", "lab0", "hw,drv", "--json"}).out).as_object();
    EXPECT_TRUE(told.at("ok").as_bool());
    EXPECT_EQ(told.at("mode").as_string(), "drv");
    EXPECT_TRUE(told.at("gap").as_object().at("covered").as_bool());
    EXPECT_THAT(std::string(told.at("notes").as_array().at(0).as_string()),
                StartsWith("lab0: fell to mode drv: "));

    EXPECT_THAT(change({"detach", "lab0"}).out, StartsWith("lab0: detached program xdp_guard@"));
    EXPECT_FALSE(attached());
    EXPECT_EQ(change({"detach", "lab0"}).code, 0) << "a second time it is done already";
    EXPECT_EQ(change({"status"}).out, "no program is attached to an interface here\n");
}

TEST_F(Change, OfOneInterfaceLeavesTheOthersOfTheInstanceAsTheyAre) {
    {
        const auto entered = must(host().enter());
        must(lab::ip("link add more0 type veth peer name more1"));
    }
    EXPECT_EQ(change({"attach", "lab0", objects + "/xdp_counter.bpf.o"}).code, 0);
    EXPECT_EQ(change({"attach", "more0", objects + "/xdp_counter.bpf.o"}).code, 0);
    EXPECT_TRUE(attached());
    EXPECT_EQ(change({"detach", "more0"}).code, 0);
    EXPECT_TRUE(attached());
}

TEST_F(Change, ThatCannotBeMadeIsRefusedWithTheReasonAndTouchesNothing) {
    const auto refused = [&](std::vector<std::string> words, const std::string& reason, int code = 1) {
        const Finished finished = change(std::move(words));
        EXPECT_EQ(finished.code, code) << reason;
        EXPECT_THAT(finished.errors, HasSubstr(reason));
        EXPECT_FALSE(attached());
    };
    refused({"attach", "lab7", objects + "/xdp_counter.bpf.o"}, "there is no interface 'lab7'");
    refused({"attach", "lab0", "/nowhere.bpf.o"}, "/nowhere.bpf.o");
    refused({"attach", "lab0", objects + "/xdp_guard.bpf.o", "-f", "nope"},
            "has no XDP program 'nope'; it has xdp_guard");
    refused({"attach", "lab0", HOMEOSTAT_BINARY_DIR "/tests/bpf/counting.bpf.o"},
            "choose one with --function: count_pass, count_drop");
    refused({"attach", "lab0", HOMEOSTAT_BINARY_DIR "/tests/system-bpf/out_of_bounds.bpf.o"},
            "the verifier rejected it");
    refused({"attach", "lab0", objects + "/xdp_counter.bpf.o", "--mode", "drv,fast"}, "'fast' is no mode", 2);
    refused({"attach", "lab0", objects + "/xdp_counter.bpf.o", "--mode", "drv,drv"}, "has a mode twice", 2);
    refused({"attach", "lab0", objects + "/xdp_counter.bpf.o", "--mode", ""}, "'' is no mode", 2);
    refused({"attach", "lab0", HOMEOSTAT_BINARY_DIR "/tests/bpf/tc_count.bpf.o"},
            "has no XDP program, only of TC, which a configuration attaches: count_first, ");
    refused({"attach", "lab0", objects + "/xdp_guard.bpf.o", "--twin", "xdp_guard"},
            "has no TC program 'xdp_guard' to be a twin; it has tc_guard");
    refused({"attach", "lab0"}, "expected INTERFACE OBJECT", 2);
    refused({"switch", "lab0", "skb"}, "nothing is attached to lab0");
    refused({"replace", "lab0", objects + "/xdp_counter.bpf.o"}, "nothing is attached");
    refused({"switch", "lab0", "skb", "--max-gap", "soon"}, "--max-gap: ", 2);
}

TEST_F(Change, AProgramOfSomebodyElseIsLeftAlone) {
    const auto entered = must(host().enter());
    must(lab::ip("link set lab0 xdpgeneric obj " + objects + "/xdp_counter.bpf.o sec xdp.frags"));
    const std::uint32_t theirs = attached_id();
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"attach", "lab0", objects + "/xdp_guard.bpf.o"},
          std::vector<std::string>{"replace", "lab0", objects + "/xdp_guard.bpf.o"},
          std::vector<std::string>{"switch", "lab0", "drv"}}) {
        const Finished finished = change(words);
        EXPECT_EQ(finished.code, 1) << words.front();
        EXPECT_THAT(finished.errors, HasSubstr("left alone"));
        EXPECT_THAT(change({"gc", "--dry-run"}).out, HasSubstr("has left nothing behind")) << words.front();
    }
    EXPECT_EQ(change({"detach", "lab0"}).code, 0);
    EXPECT_EQ(attached_id(), theirs);
}

TEST_F(Change, ThatFailsLeavesNothingButWhatWasThereBefore) {
    change({"attach", "lab0", objects + "/xdp_guard.bpf.o", "--twin", "tc_guard"});
    change({"replace", "lab0", objects + "/xdp_counter.bpf.o"});
    const std::string before = change({"gc", "--dry-run"}).out;
    EXPECT_THAT(before, HasSubstr("would remove "));
    // No native mode, and no room for a program at all; neither touches what the other has left.
    EXPECT_EQ(change({"attach", "lo", objects + "/xdp_guard.bpf.o", "--twin", "tc_guard"}).code, 1);
    EXPECT_EQ(change({"attach", "lab7", objects + "/xdp_guard.bpf.o"}).code, 1);
    EXPECT_EQ(change({"gc", "--dry-run"}).out, before);
}

TEST_F(Change, GarbageIsToldThenRemovedAndWhatIsAttachedStays) {
    EXPECT_THAT(change({"gc"}).out, HasSubstr("has left nothing behind"));
    change({"attach", "lab0", objects + "/xdp_guard.bpf.o", "--twin", "tc_guard"});
    change({"replace", "lab0", objects + "/xdp_counter.bpf.o"});
    const std::uint32_t counter = attached_id();
    const Finished dry = change({"gc", "--dry-run"});
    EXPECT_THAT(dry.out, HasSubstr("would remove program "));
    EXPECT_THAT(dry.out, HasSubstr("xdp_guard@"));
    EXPECT_THAT(dry.out, HasSubstr("/maps/guard_verdicts: the attached program does not use it"));
    EXPECT_THAT(dry.out, Not(HasSubstr("/maps/proto_counters")));
    EXPECT_EQ(change({"gc", "--dry-run"}).out, dry.out) << "it removed nothing";
    const json::object told = json::parse(change({"gc", "--json"}).out).as_object();
    EXPECT_TRUE(told.at("removed").as_bool());
    EXPECT_GE(told.at("orphans").as_array().size(), 3U);
    EXPECT_THAT(change({"gc"}).out, HasSubstr("has left nothing behind"));
    EXPECT_EQ(attached_id(), counter);

    delete_lab0();
    EXPECT_THAT(change({"gc"}).out, HasSubstr("removed link "));
    EXPECT_THAT(change({"gc"}).out, HasSubstr("has left nothing behind"));
}

TEST_F(Change, NeitherGarbageNorAllOfAnInstanceIsTouchedWhileAControllerOwnsIt) {
    Controller controller = Controller::start(host(), config_);
    controller.await(outcome_with("counter"), "the baseline");
    const std::uint32_t counter = attached_id();
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"gc"}, std::vector<std::string>{"detach"}}) {
        const Finished finished = change(words);
        EXPECT_EQ(finished.code, 1) << words.front();
        EXPECT_THAT(finished.errors, HasSubstr("another controller owns this instance"));
    }
    EXPECT_EQ(attached_id(), counter);
    EXPECT_THAT(change({"plan"}).out, HasSubstr("a controller owns this instance now (process "));
    controller.stop();
}

TEST_F(Change, APlanTellsWhatRunWouldDoAndTouchesNothing) {
    const std::set<std::string> before = pins();
    const Finished first = change({"plan"});
    EXPECT_EQ(first.code, 0) << first.errors;
    EXPECT_THAT(first.out, HasSubstr("lab0: veth, up, MTU 1500\n"));
    EXPECT_THAT(first.out, HasSubstr("attached      nothing\n"));
    EXPECT_THAT(first.out, HasSubstr("attach counter (drv)\n"));
    EXPECT_THAT(first.out, HasSubstr("mode skb      yes\n"));
    EXPECT_THAT(first.out, HasSubstr("counter       yes: "));
    EXPECT_FALSE(attached());
    EXPECT_EQ(pins(), before);

    {
        Controller controller = Controller::start(host(), config_);
        controller.await(outcome_with("counter"), "the baseline");
        controller.stop();
    }
    const Finished adopted = change({"plan"});
    EXPECT_EQ(adopted.code, 0);
    EXPECT_THAT(adopted.out, HasSubstr("attached      counter (id " + std::to_string(attached_id()) +
                                       "), drv, by homeostat"));
    EXPECT_THAT(adopted.out, HasSubstr("would do      nothing\n"));

    const json::object elsewhere =
        json::parse(run({"plan", "-c", config_, "--instance", "other", "--json"}).out).as_object();
    const json::object& interface = elsewhere.at("interfaces").as_array().at(0).as_object();
    EXPECT_THAT(std::string(interface.at("obstacles").as_array().at(0).as_string()),
                HasSubstr("somebody else's"));

    delete_lab0();
    const Finished gone = change({"plan"});
    EXPECT_EQ(gone.code, 1);
    EXPECT_THAT(gone.out, HasSubstr("there is no such interface"));
}

} // namespace

} // namespace homeostat::system_test

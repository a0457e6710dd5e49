// A controller with TC programs at both sides of an interface: they count packets, a policy replaces one, a
// reload another, and 'homeostat detach' takes them away; what others have there stays.

#include "adapters/bpf/kernel_port.hpp"
#include "tests/system/controller.hpp"

#include <bpf/bpf.h>
#include <gmock/gmock.h>
#include <net/if.h>

#include <algorithm>

namespace homeostat::system_test {

namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr std::uint32_t foreign_preference = 10;

class TcPrograms : public InLab {
  protected:
    void SetUp() override {
        InLab::SetUp();
        if (IsSkipped()) return;
        const auto entered = must(host().enter());
        index_ = ::if_nametoindex("lab0");
        const bpf_insn next[] = {
            {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = -1},
            {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
        const bpf::Descriptor theirs(
            bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "theirs", "GPL", next, std::size(next), nullptr));
        ASSERT_TRUE(theirs);
        ASSERT_EQ(kernel_.make_clsact(index_), 0);
        for (const bpf::Hook hook : {bpf::Hook::tcx_ingress, bpf::Hook::tcx_egress})
            ASSERT_EQ(
                kernel_.add_filter(index_, hook, {.priority = foreign_preference, .handle = 1}, theirs.get()),
                0);
    }
    void TearDown() override {
        if (!IsSkipped()) run({"detach", "-c", config_});
    }

    Finished run(std::vector<std::string> words) const {
        words.insert(words.begin(), homeostat());
        return run_to_end(std::move(words), {.in = &host()});
    }

    // `egress`: the program there.
    void write(const std::string& egress) {
        std::string text = "version = 1\n[controller]\nperiod = \"100ms\"\npolicies = [\"policy.toml\"]\n"
                           "objects = [\"" HOMEOSTAT_BINARY_DIR "/tests/bpf\"]\nbpffs = \"" +
                           bpffs() + "\"\nstate = \"" + folder_.path().string() + "/state\"\n";
        for (const char* name : {"count_first", "count_second", "count_third", "drop"})
            text += "[[program]]\nname = \"" + std::string(name) +
                    "\"\nobject = \"tc_count.bpf.o\"\nfunction = \"" + name + "\"\n";
        text +=
            "[[interface]]\nname = \"lab0\"\ntc.ingress.program = \"count_first\"\ntc.egress.program = \"" +
            egress +
            "\"\n[[sensor]]\ntype = \"bpf-map\"\nmap = \"seen\"\nkey = { as = \"row\" }\n"
            "value = \"tc_seen_total\"\n";
        config_ = folder_.write("config.toml", text);
        folder_.write("policy.toml", R"(version = 1
[[signal]]
name = "tc_seen"
expr = 'tc_seen_total'
[[symptom]]
name = "busy"
raise = 'tc_seen_total{row="0"} >= 50'
[[adaptation]]
name = "another-program-where-it-is-busy"
when = "busy"
[adaptation.set.interface."{{iface}}"]
tc.ingress.program = "count_third"
)");
    }

    // Echo requests that are answered: so many packets in each direction.
    std::uint64_t ping(std::uint64_t packets) const {
        return must(lab::probe_icmp(peer(), {.messages_per_second = 500, .bounds = {.packets = packets}}))
            .wait()
            .received;
    }

    // At clsact, all that is not ours.
    std::vector<std::uint32_t> foreign_preferences() const {
        const auto entered = must(host().enter());
        std::vector<std::uint32_t> preferences;
        for (const bpf::Hook hook : {bpf::Hook::tcx_ingress, bpf::Hook::tcx_egress}) {
            std::vector<bpf::Filter> filters;
            EXPECT_EQ(kernel_.query_filters(index_, hook, filters), 0);
            for (const bpf::Filter& filter : filters)
                if (filter.handle == 1) preferences.push_back(filter.priority);
        }
        return preferences;
    }

    static Wanted at(const std::string& direction, const std::string& program) {
        return [=](const Event& event) {
            if (event.at("type") != "outcome" || event.at("ok") != true) return false;
            const auto& tc = event.at("tc").as_object();
            return program.empty() ? !tc.contains(direction)
                                   : tc.contains(direction) &&
                                         tc.at(direction).as_object().at("program").as_string() == program;
        };
    }

    const bpf::KernelPort kernel_;
    unsigned index_ = 0;
    std::string config_;
};

TEST_F(TcPrograms, CountAreReplacedByAPolicyAndAReloadAndDetachedAndFiltersOfOthersSurvive) {
    write("count_second");
    {
        Controller controller = Controller::start(host(), config_);
        controller.await(at("ingress", "count_first"), "the program at ingress");
        EXPECT_EQ(ping(50), 50U);
        controller.await(at("ingress", "count_third"), "the policy's program");
        EXPECT_EQ(ping(30), 30U);
        controller.await(
            signals_have({{"tc_seen{row=0}", 50}, {"tc_seen{row=1}", 80}, {"tc_seen{row=2}", 30}}),
            "what each of them counted");

        const Finished status = run({"status", "-c", config_, "lab0"});
        EXPECT_THAT(status.out, HasSubstr("count_third (count_third@"));
        EXPECT_THAT(status.out, HasSubstr("count_second (count_second@"));
        EXPECT_THAT(status.out, HasSubstr("homeostat default"));
        EXPECT_THAT(status.out, HasSubstr("clsact egress"));
        EXPECT_THAT(status.out, HasSubstr("theirs"));

        write("none");
        controller.signal(SIGHUP);
        controller.await(at("egress", ""), "the reload");
        EXPECT_EQ(ping(10), 10U);
        EXPECT_EQ(controller.stop(), 0);
    }
    // What is attached outlives the controller, and goes on counting.
    write("drop");
    const Finished plan = run({"plan", "-c", config_});
    EXPECT_THAT(plan.out, HasSubstr("count_third (id "));
    EXPECT_THAT(plan.out, HasSubstr("replace by count_first at TC ingress"));
    EXPECT_THAT(plan.out, HasSubstr("attach drop at TC egress"));
    EXPECT_THAT(foreign_preferences(), ElementsAre(foreign_preference, foreign_preference));

    const Finished detached = run({"detach", "-c", config_});
    EXPECT_EQ(detached.code, 0) << detached.errors;
    EXPECT_THAT(detached.out, HasSubstr("lab0: detached program count_third@"));
    EXPECT_THAT(detached.out, HasSubstr("TC ingress)"));
    EXPECT_THAT(foreign_preferences(), ElementsAre(foreign_preference, foreign_preference));
    const Finished after = run({"status", "-c", config_, "lab0"});
    EXPECT_THAT(after.out, Not(HasSubstr("count_")));
    EXPECT_THAT(after.out, HasSubstr("theirs"));
}

TEST_F(TcPrograms, AProgramThatStartsToDropDoesSoFromTheReloadOnAndDetachWhileItRunsTakesItAway) {
    write("none");
    Controller controller = Controller::start(host(), config_);
    controller.await(at("ingress", "count_first"), "the program at ingress");
    EXPECT_EQ(ping(5), 5U);
    write("drop");
    controller.signal(SIGHUP);
    controller.await(at("egress", "drop"), "the reload");
    EXPECT_EQ(ping(5), 0U) << "no answer leaves";
    EXPECT_EQ(run({"detach", "-c", config_, "lab0"}).code, 0);
    EXPECT_EQ(ping(5), 5U);
    EXPECT_THAT(run({"status", "-c", config_, "lab0"}).out, Not(HasSubstr("homeostat default")));
    EXPECT_EQ(controller.stop(), 0);
}

TEST_F(TcPrograms, OfTheWrongKindAreAMistakeWithItsPlace) {
    write("count_second");
    std::string text = read_text(config_);
    text.replace(text.find("tc.ingress.program"), std::string("tc.ingress.program").size(), "xdp.program");
    config_ = folder_.write("wrong.toml", text);
    const Finished checked = run({"check", config_});
    EXPECT_EQ(checked.code, 1);
    EXPECT_THAT(checked.errors + checked.out,
                HasSubstr("wrong.toml:26:16: 'count_first' is a TC program; expected an XDP program"));
}

} // namespace

} // namespace homeostat::system_test

// Which of the programs on an interface counts, in what is told as in what is done.
#include "adapters/bpf/datapath/survey.hpp"
#include "adapters/bpf/datapath/xdp_link.hpp"

#include <gtest/gtest.h>
#include <linux/if_link.h>

namespace homeostat::bpf {
namespace {

SurveyedProgram program(std::string hook, std::string instance, std::string interface = "lab0") {
    SurveyedProgram one;
    one.hook = std::move(hook);
    one.owner.kind = instance.empty() ? Owner::Kind::netlink : Owner::Kind::homeostat;
    one.owner.instance = std::move(instance);
    one.owner.interface = std::move(interface);
    return one;
}

std::string counts(std::vector<SurveyedProgram> programs) {
    const SurveyedInterface interface{
        .name = "lab0", .ifindex = 7, .up = true, .programs = std::move(programs)};
    const SurveyedProgram* found = xdp_that_counts(interface, "mine");
    return found == nullptr ? "none" : found->hook;
}

TEST(Survey, OursCountsBesideSomebodyElsesInWhicheverMode) {
    EXPECT_EQ(counts({program("xdp drv", "mine"), program("xdp hw", "")}), "xdp drv");
    EXPECT_EQ(counts({program("xdp drv", ""), program("xdp hw", "mine")}), "xdp hw");
    EXPECT_EQ(counts({program("xdp drv", "mine", "old0"), program("xdp hw", "mine")}), "xdp hw")
        << "the other one was attached when the device had another name";
    EXPECT_EQ(counts({program("xdp drv", "another"), program("xdp hw", "")}), "xdp drv");
    EXPECT_EQ(counts({program("xdp skb", ""), program("tcx ingress", "mine")}), "xdp skb");
    EXPECT_EQ(counts({program("tcx ingress", "mine")}), "none");
}

TEST(AttachedPrograms, AreTheHostsBeforeTheCardsWhicheverWayTheKernelTells) {
    const auto modes = [](const bpf_xdp_query_opts& shown) {
        std::string text;
        for (const auto& [id, mode] : attached_programs(shown))
            text += std::string(to_text(mode)) + " " + std::to_string(id) + " ";
        return text;
    };
    LIBBPF_OPTS(bpf_xdp_query_opts, shown);
    EXPECT_EQ(modes(shown), "");
    shown.attach_mode = XDP_ATTACHED_HW; // alone
    shown.prog_id = 5;
    EXPECT_EQ(modes(shown), "hw 5 ");
    shown.attach_mode = XDP_ATTACHED_MULTI;
    shown.prog_id = 0;
    shown.hw_prog_id = 5;
    shown.drv_prog_id = 4;
    EXPECT_EQ(modes(shown), "drv 4 hw 5 ");
    shown.drv_prog_id = 0;
    shown.skb_prog_id = 3;
    EXPECT_EQ(modes(shown), "skb 3 hw 5 ");
}

} // namespace
} // namespace homeostat::bpf

// An adaptation whose effect does not show, on the real kernel: what it changed is as before, and nothing
// else is touched.

#include "adapters/bpf/descriptor.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "bpf/records.h"
#include "tests/system/controller.hpp"

#include <boost/json.hpp>
#include <bpf/bpf.h>
#include <gmock/gmock.h>
#include <net/if.h>

#include <string>

namespace homeostat::system_test {

namespace {

namespace json = boost::json;
using testing::HasSubstr;

class Verify : public InLab {
  protected:
    // The overlay changes program, mode, TC and two map keys, one of which the baseline sets too.
    Controller start() {
        folder_.write("policy.toml", R"(version = 1
[[signal]]
name = "counted"
expr = 'xdp_packets_total'
[[symptom]]
name = "busy"
raise = 'xdp_packets_total{proto="udp"} >= 100'
clear = 'xdp_packets_total{proto="udp"} < 100'
[[adaptation]]
name = "guard"
when = "busy"
[adaptation.set.interface."{{iface}}"]
xdp.program = "guard"
xdp.mode = "skb"
tc.egress.program = "watch"
maps.guard_limits.udp = { pps = 100, burst = 10 }
maps.guard_limits.tcp = { pps = 1, burst = 1 }
[adaptation.verify]
expect = 'xdp_packets_total{iface="{{iface}}",proto="udp"} > 1M'
within = "2s"
backoff = "10m"
[check]
allow = ["verify-looks-back"]
)");
        const Config config{.objects = "objects = [\"" HOMEOSTAT_BINARY_DIR "/bpf\", \"" HOMEOSTAT_BINARY_DIR
                                       "/tests/bpf\"]\n",
                            .maps = "maps.guard_limits.tcp = { pps = 5_000, burst = 50 }\n",
                            .more = "[[program]]\nname = \"watch\"\nobject = \"tc_count.bpf.o\"\nfunction = "
                                    "\"count_first\"\n"};
        Controller controller = Controller::start(host(), folder_.write("config.toml", placed(config).text()),
                                                  {"--detach-on-exit"});
        controller.await(outcome_with("counter"), "the baseline");
        return controller;
    }

    bpf::Descriptor limits() const {
        return bpf::Descriptor(bpf_obj_get((bpffs() + "/default/lab0/maps/guard_limits").c_str()));
    }
    // "5000/50"
    std::string limit(std::uint32_t proto) const {
        rate_limit value{};
        if (bpf_map_lookup_elem(limits().get(), &proto, &value) != 0) return "none";
        return std::to_string(value.pps) + "/" + std::to_string(value.burst);
    }
    void write_limit(std::uint32_t proto, rate_limit value) const {
        ASSERT_EQ(bpf_map_update_elem(limits().get(), &proto, &value, BPF_ANY), 0);
    }

    std::size_t tc_programs() const {
        const auto entered = must(host().enter());
        const unsigned index = ::if_nametoindex("lab0");
        std::vector<std::uint32_t> tcx;
        std::vector<bpf::Filter> filters;
        const bpf::KernelPort kernel;
        kernel.query_tcx(index, bpf::Hook::tcx_egress, tcx); // a kernel without TCX has none
        kernel.query_filters(index, bpf::Hook::tcx_egress, filters);
        return tcx.size() + filters.size();
    }
};

TEST_F(Verify, ThatFailsBringsBackProgramModeTcAndOurMapKeysAndLeavesThoseOfOthers) {
    Controller controller = start();
    const std::uint32_t baseline = attached_id();
    ASSERT_EQ(limit(PROTO_TCP), "5000/50");
    write_limit(PROTO_ICMP, {.pps = 777, .burst = 7});

    send(150, 0, 0);
    const Event guarded = controller.await(outcome_with("guard"), "the overlay");
    EXPECT_EQ(guarded.at("xdp").at("mode").as_string(), "skb");
    EXPECT_EQ(attached_id(), program_id_of(guarded));
    EXPECT_EQ(attached().value().mode, XdpMode::skb);
    EXPECT_EQ(tc_programs(), 1U);
    EXPECT_EQ(limit(PROTO_UDP), "100/10");
    EXPECT_EQ(limit(PROTO_TCP), "1/1");
    write_limit(PROTO_GRE, {.pps = 888, .burst = 8}); // somebody else, while the overlay is laid

    const Event rollback = controller.await(receipt_of("rollback"), "the verdict");
    const json::object& verdict = rollback.at("gates").at(0).as_object();
    EXPECT_EQ(verdict.at("gate").as_string(), "verify");
    EXPECT_EQ(verdict.at("open"), false);
    EXPECT_THAT(std::string(verdict.at("detail").as_string()), HasSubstr("expect does not hold"));
    EXPECT_EQ(rollback.at("expectation").at("is").as_string(), "no");
    const json::object& seen = rollback.at("expectation").at("seen").at(0).as_object();
    EXPECT_EQ(seen.at("value").to_number<double>(), 150) << "what it was judged by";
    EXPECT_EQ(seen.at("labels").at("proto").as_string(), "udp");
    ASSERT_EQ(rollback.at("transactions").as_array().size(), 1U) << "by which it is taken back";

    const Event restored = controller.await(outcome_with("counter"), "the baseline again");
    EXPECT_EQ(restored.at("transaction"), rollback.at("transactions").at(0));
    EXPECT_EQ(restored.at("xdp").at("mode").as_string(), "drv");
    EXPECT_EQ(program_id_of(restored), baseline);
    EXPECT_EQ(attached_id(), baseline);
    EXPECT_EQ(attached().value().mode, XdpMode::drv);
    EXPECT_EQ(tc_programs(), 0U);
    EXPECT_EQ(limit(PROTO_UDP), "0/0") << "nobody sets it now";
    EXPECT_EQ(limit(PROTO_TCP), "5000/50") << "the baseline does";
    EXPECT_EQ(limit(PROTO_ICMP), "777/7");
    EXPECT_EQ(limit(PROTO_GRE), "888/8");

    // The symptom goes on, and the overlay stays away.
    for (int i = 0; i < 5; ++i)
        controller.await(signals_have({{"counted{proto=udp}", 150}}), "the ticks after it");
    EXPECT_EQ(controller.count(receipt_of("apply")), 1U);
    EXPECT_EQ(controller.count(symptom_to("inactive")), 0U);
    EXPECT_EQ(attached_id(), baseline);
    EXPECT_EQ(controller.stop(), 0);
    EXPECT_THAT(controller.log(), HasSubstr("rollback"));
}

// What is desired is computed anew: not what was there when the overlay came.
TEST_F(Verify, ThatFailsAfterAReloadBringsBackWhatIsDesiredNow) {
    Controller controller = start();
    send(150, 0, 0);
    controller.await(outcome_with("guard"), "the overlay");
    std::string text = read_text(folder_.path() / "config.toml");
    const std::string before = "{ pps = 5_000, burst = 50 }";
    ASSERT_NE(text.find(before), std::string::npos);
    folder_.write("config.toml",
                  text.replace(text.find(before), before.size(), "{ pps = 6_000, burst = 60 }"));
    controller.signal(SIGHUP);
    controller.await_log("generation 2 is loaded");
    const Event rollback = controller.await(receipt_of("rollback"), "the verdict");
    EXPECT_EQ(rollback.at("generation").to_number<int>(), 2);
    controller.await(outcome_with("counter"), "the baseline again");
    EXPECT_TRUE(eventually([&] { return limit(PROTO_TCP) == "6000/60"; })) << limit(PROTO_TCP);
    EXPECT_EQ(attached().value().mode, XdpMode::drv);
    EXPECT_EQ(controller.stop(), 0);
}

} // namespace

} // namespace homeostat::system_test

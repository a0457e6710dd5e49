#include "adapters/bpf/datapath/xdp_link.hpp"

#include "adapters/lab/bpf_mount.hpp"
#include "adapters/lab/network.hpp"
#include "tests/adapters/bpf/objects.hpp"

#include <gtest/gtest.h>
#include <net/if.h>
#include <unistd.h>

#include <filesystem>

namespace homeostat::bpf {
namespace {

TEST(XdpLink, WhoseProgramSomebodyElseChangedIsNotSaidToLackPrivileges) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root, to attach BPF programs";
    auto lab = lab::Lab::create("hbxl" + std::to_string(::getpid()));
    ASSERT_TRUE(lab) << lab.error().what;
    auto mount = lab::BpfMount::create();
    ASSERT_TRUE(mount) << mount.error().what;
    auto entered = lab->host.enter();
    ASSERT_TRUE(entered) << entered.error().what;
    const auto loaded =
        LoadedPrograms::load({source("pass", "counting", "count_pass"),
                              source("drop", "counting", "count_drop"), source("third", "with_twin")});
    ASSERT_TRUE(loaded) << loaded.error().what;
    const auto pinned = [&](const std::string& name) {
        return PinnedProgram{loaded->program(name)->descriptor, name};
    };
    const KernelPort kernel;
    const InterfacePins pins({.name = "test", .bpffs = mount->path(), .state = ""}, lab->host_link);
    std::filesystem::create_directories(pins.programs());
    auto link = XdpLink::attach(kernel, pins, pinned("pass"), lab->host_link,
                                ::if_nametoindex(lab->host_link.c_str()), XdpMode::skb);
    ASSERT_TRUE(link) << link.error().what;

    const Descriptor theirs(kernel.open_pin(pins.link()));
    ASSERT_EQ(kernel.update_link(theirs.get(), pinned("drop").descriptor, -1), 0);
    const auto updated = link->update(pinned("third"));
    ASSERT_FALSE(updated);
    EXPECT_EQ(updated.error().number, EPERM);
    EXPECT_EQ(updated.error().what,
              "the link holds program " + std::to_string(loaded->program("drop")->id) +
                  " (count_drop), no longer " + std::to_string(loaded->program("pass")->id) +
                  " that we attached: somebody else changed it; detach it, or stop whoever did");
    EXPECT_TRUE(link->remove());
}

} // namespace
} // namespace homeostat::bpf

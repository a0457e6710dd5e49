// An instance that was used in another network namespace.
#include "adapters/lab/bpf_mount.hpp"
#include "adapters/lab/network.hpp"
#include "tests/adapters/bpf/datapath/options_at.hpp"
#include "tests/adapters/bpf/objects.hpp"

#include <gtest/gtest.h>
#include <net/if.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>

namespace homeostat::bpf {
namespace {

class InstanceTest : public testing::Test {
  protected:
    void SetUp() override {
        auto mount = lab::BpfMount::create();
        ASSERT_TRUE(mount) << mount.error().what;
        mount_.emplace(std::move(*mount));
        state_ = mount_->path() + "-state";
    }
    void TearDown() override {
        std::error_code error;
        std::filesystem::remove_all(state_, error);
    }

    static std::string tag(const char* which) { return "hbin" + std::to_string(::getpid()) + which; }

    Result<std::unique_ptr<XdpDatapath>> open() const {
        return XdpDatapath::open(options_at(mount_->path(), state_),
                                 {source("pass", "counting", "count_pass")}, {"lab0"});
    }

    // As a controller that was stopped leaves it.
    void attach_in(const lab::NetNamespace& host) const {
        const auto entered = host.enter();
        ASSERT_TRUE(entered) << entered.error().what;
        auto datapath = open();
        ASSERT_TRUE(datapath) << datapath.error().what;
        const Outcome outcome =
            (*datapath)->apply({TransactionId{1}, "lab0", {AttachXdp{"pass", {XdpMode::drv}}}});
        ASSERT_TRUE(outcome.ok) << outcome.error;
    }

    std::optional<lab::BpfMount> mount_;
    std::string state_;
};

TEST_F(InstanceTest, IsRefusedWhileItsProgramsWorkInAnotherNamespaceAndTakenOverWhenThatIsGone) {
    auto here = lab::Lab::create(tag("a"));
    ASSERT_TRUE(here) << here.error().what;
    {
        auto there = lab::Lab::create(tag("b"));
        ASSERT_TRUE(there) << there.error().what;
        attach_in(there->host);
        const auto entered = here->host.enter();
        ASSERT_TRUE(entered) << entered.error().what;
        const auto refused = open();
        ASSERT_FALSE(refused);
        EXPECT_NE(refused.error().what.find("used in another network namespace"), std::string::npos)
            << refused.error().what;
        const auto untouched = attached_program(::if_nametoindex("lab0"));
        ASSERT_TRUE(untouched);
        EXPECT_FALSE(*untouched);
        // The kernel takes a namespace's devices away when it has time for it; this is at once.
        const auto entered_there = there->host.enter();
        ASSERT_TRUE(entered_there) << entered_there.error().what;
        ASSERT_TRUE(lab::ip("link del lab0"));
    }
    attach_in(here->host);
    const auto entered = here->host.enter();
    ASSERT_TRUE(entered) << entered.error().what;
    auto datapath = open();
    ASSERT_TRUE(datapath) << datapath.error().what;
    EXPECT_TRUE((*datapath)->detach_all());
}

} // namespace
} // namespace homeostat::bpf

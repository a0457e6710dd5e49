// A datapath on an interface of a lab, with pins and a state folder that nobody else has.
#pragma once

#include "adapters/lab/bpf_mount.hpp"
#include "adapters/lab/network.hpp"
#include "tests/adapters/bpf/datapath/options_at.hpp"

#include <gtest/gtest.h>
#include <net/if.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace homeostat::bpf {

// The test's thread is in the lab's host namespace.
class DatapathFixture : public testing::Test {
  protected:
    void SetUp() override {
        auto lab = lab::Lab::create("hbdp" + std::to_string(::getpid()));
        ASSERT_TRUE(lab) << lab.error().what;
        lab_.emplace(std::move(*lab));
        auto mount = lab::BpfMount::create();
        ASSERT_TRUE(mount) << mount.error().what;
        mount_.emplace(std::move(*mount));
        state_ = mount_->path() + "-state";
        enter(lab_->host);
        index_ = ::if_nametoindex("lab0");
    }

    void TearDown() override {
        if (datapath_) {
            EXPECT_TRUE(datapath_->detach_all());
        }
        datapath_.reset();
        std::error_code error;
        std::filesystem::remove_all(state_, error);
    }

    void enter(const lab::NetNamespace& where) {
        entered_.reset();
        auto entered = where.enter();
        ASSERT_TRUE(entered) << entered.error().what;
        entered_.emplace(std::move(*entered));
    }

    virtual DatapathOptions options() const { return options_at(mount_->path(), state_); }
    DatapathOptions options_with(KernelPort kernel) const {
        DatapathOptions with = options();
        with.kernel = std::move(kernel);
        return with;
    }
    InstancePlace place() const { return options().place; }
    InterfacePins pins() const { return {place(), "lab0"}; }

    // What was open is closed first; what it attached stays.
    void open_datapath(DatapathOptions options, const std::vector<ProgramSource>& programs,
                       const std::vector<std::string>& interfaces = {"lab0"}) {
        datapath_.reset();
        auto opened = XdpDatapath::open(std::move(options), programs, interfaces);
        ASSERT_TRUE(opened) << opened.error().what;
        datapath_ = std::move(*opened);
    }

    Outcome apply(std::vector<Step> steps, const std::string& interface = "lab0") {
        return datapath_->apply({TransactionId{7}, interface, std::move(steps)});
    }

    ActualInterface actual() { return datapath_->read_back().at("lab0"); }

    std::optional<lab::Lab> lab_;
    std::optional<lab::BpfMount> mount_;
    std::optional<lab::Entered> entered_;
    std::string state_;
    unsigned index_ = 0; // of lab0
    std::unique_ptr<XdpDatapath> datapath_;
};

// The same with the guard and TC programs at TCX, and at clsact as on a kernel that has no other.
class GuardKindFixture : public DatapathFixture, public testing::WithParamInterface<Guard::Kind> {
  protected:
    void SetUp() override {
        DatapathFixture::SetUp();
        if (HasFatalFailure()) return;
        std::vector<std::uint32_t> none;
        if (GetParam() == Guard::Kind::tcx &&
            KernelPort().query_tcx(index_, Hook::tcx_ingress, none) == -EINVAL)
            GTEST_SKIP() << "needs TCX (Linux 6.6)";
    }

    DatapathOptions options() const override { return options_at(mount_->path(), state_, GetParam()); }
};

} // namespace homeostat::bpf

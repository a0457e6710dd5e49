// `homeostat lab`: the demonstration tells the truth and cleans up.

#include "tests/system/controller.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <filesystem>

namespace homeostat::system_test {

namespace {

class LabCommand : public testing::Test {
  protected:
    void SetUp() override {
        if (const std::string reason = reason_to_skip(); !reason.empty()) GTEST_SKIP() << reason;
    }

    static Child start(std::vector<std::string> more) {
        std::vector<std::string> words{homeostat(), "lab"};
        if (std::ranges::find(more, "-c") == more.end())
            more.insert(more.end(), {"-c", HOMEOSTAT_SOURCE_DIR "/configs/lab.toml"});
        words.insert(words.end(), more.begin(), more.end());
        return Child::start(std::move(words));
    }

    // Of the controller that the lab runs, once it has attached something.
    static Objects wait_for_controller(const Child& lab) {
        Objects held;
        EXPECT_TRUE(eventually([&] {
            for (const pid_t child : children_of(lab.pid()))
                if (held = held_by(child); !held.links.empty()) return true;
            return false;
        })) << lab.errors();
        return held;
    }

    static std::string space_of(const Child& lab, const std::string& end) {
        return "homeostat-" + std::to_string(lab.pid()) + "-" + end;
    }

    static bool has_namespaces(const Child& lab) {
        return std::filesystem::exists("/run/netns/" + space_of(lab, "host")) ||
               std::filesystem::exists("/run/netns/" + space_of(lab, "peer"));
    }
};

TEST_F(LabCommand, TellsThatAllOfItReallyHappenedAndLeavesNothing) {
    Child lab = start({"--json", "--seconds", "3"});
    const Objects held = wait_for_controller(lab);
    ASSERT_EQ(lab.wait(), 0) << lab.errors() << lab.out();
    const boost::json::object account = boost::json::parse(lab.out()).as_object();
    for (const boost::json::value& check : account.at("checks").as_array())
        EXPECT_EQ(check.at("ok"), true) << check;
    EXPECT_GE(account.at("dropped_share").to_number<double>(), 0.99);
    EXPECT_LE(account.at("dropped_share").to_number<double>(), 1);
    for (const char* kind : {"icmp", "tcp"}) {
        EXPECT_GT(account.at(kind).at("sent").to_number<int>(), 0);
        EXPECT_EQ(account.at(kind).at("sent"), account.at(kind).at("passed"));
    }
    const double raised = account.at("raised_after_ms").to_number<double>();
    const double mitigated = account.at("mitigated_after_ms").to_number<double>();
    const double restored = account.at("restored_after_ms").to_number<double>();
    EXPECT_LE(0, raised);
    EXPECT_LE(raised, mitigated);
    EXPECT_LT(mitigated, 3'000) << "later than the flood";
    EXPECT_GT(restored, 3'000) << "during the flood";
    EXPECT_FALSE(has_namespaces(lab));
    EXPECT_TRUE(eventually([&] { return are_released(held); }));
}

TEST_F(LabCommand, InterruptedInTheMiddleItFailsAndLeavesNothing) {
    for (const int number : {SIGINT, SIGTERM}) {
        Child lab = start({"--seconds", "60"});
        const Objects held = wait_for_controller(lab);
        EXPECT_TRUE(has_namespaces(lab));
        while (const auto line = lab.line())
            if (line->find("a UDP flood starts") != std::string::npos) break;
        lab.signal(number);
        EXPECT_EQ(lab.wait(), 1) << lab.errors();
        EXPECT_NE(lab.errors().find("interrupted"), std::string::npos) << lab.errors();
        EXPECT_FALSE(has_namespaces(lab));
        EXPECT_TRUE(eventually([&] { return are_released(held); }));
    }
}

TEST_F(LabCommand, KeepsTheNamespacesWhenAskedTo) {
    Child lab = start({"--keep", "--seconds", "1"});
    const int code = lab.wait();
    EXPECT_EQ(code, 0) << lab.errors() << lab.out();
    for (const char* end : {"host", "peer"}) {
        const std::string space = space_of(lab, end);
        EXPECT_TRUE(std::filesystem::exists("/run/netns/" + space));
        EXPECT_NE(lab.out().find("ip netns del " + space), std::string::npos) << lab.out();
        EXPECT_TRUE(lab::ip("netns del " + space));
    }
}

TEST_F(LabCommand, AConfigurationForAnotherInterfaceIsRefused) {
    const Folder folder;
    folder.write("policy.toml", Policy{}.text());
    const std::string config = folder.write("config.toml", Config{.interface = "lab7"}.text());
    Child lab = start({"-c", config});
    EXPECT_EQ(lab.wait(), 1);
    EXPECT_NE(lab.errors().find("lab0"), std::string::npos) << lab.errors();
    EXPECT_FALSE(has_namespaces(lab));
}

} // namespace

} // namespace homeostat::system_test

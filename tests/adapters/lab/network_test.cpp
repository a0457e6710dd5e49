#include "adapters/lab/network.hpp"

#include "tests/adapters/lab/witness.hpp"

#include <gtest/gtest.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <filesystem>
#include <set>
#include <thread>

namespace homeostat::lab {
namespace {

using Network = WithPrivileges;

std::string current_namespace() { return std::filesystem::read_symlink("/proc/thread-self/ns/net").string(); }

bool exists(const std::string& name) { return std::filesystem::exists("/run/netns/" + name); }

std::set<std::string> links_here() {
    std::set<std::string> names;
    auto* all = ::if_nameindex();
    for (auto* link = all; link->if_index != 0; ++link) names.insert(link->if_name);
    ::if_freenameindex(all);
    return names;
}

bool gro_is_on(const NetNamespace& space, const std::string& link) {
    const auto entered = must(space.enter());
    const int socket = ::socket(AF_INET, SOCK_DGRAM, 0);
    ethtool_value value{.cmd = ETHTOOL_GGRO, .data = 0};
    ifreq request{};
    link.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_data = reinterpret_cast<char*>(&value);
    EXPECT_EQ(::ioctl(socket, SIOCETHTOOL, &request), 0);
    ::close(socket);
    return value.data == 1;
}

TEST_F(Network, LeavesNothingBehind) {
    const auto tag = unique_tag();
    const auto before = links_here();
    {
        const auto lab = must(Lab::create(tag));
        EXPECT_TRUE(exists(tag + "-host"));
        EXPECT_TRUE(exists(tag + "-peer"));
        EXPECT_EQ(links_here(), before) << "its links are in its namespaces from the start";
    }
    EXPECT_FALSE(exists(tag + "-host"));
    EXPECT_FALSE(exists(tag + "-peer"));
    EXPECT_EQ(links_here(), before);
}

TEST_F(Network, ThatCannotBeMadeWholeLeavesNothingBehind) {
    const auto tag = unique_tag();
    const auto in_the_way = must(NetNamespace::create(tag + "-peer"));
    const auto lab = Lab::create(tag);
    ASSERT_FALSE(lab);
    EXPECT_NE(lab.error().what.find(tag + "-peer"), std::string::npos) << lab.error().what;
    EXPECT_FALSE(exists(tag + "-host"));
    EXPECT_TRUE(exists(tag + "-peer")) << "it was not ours to remove";
}

TEST_F(Network, IsRemovedWhenItsLinksCannotBeMade) {
    const auto tag = unique_tag();
    ASSERT_FALSE(Lab::create(tag, -1));
    EXPECT_FALSE(exists(tag + "-host"));
    EXPECT_FALSE(exists(tag + "-peer"));
}

TEST_F(Network, ThatIsKeptStays) {
    const auto tag = unique_tag();
    must(Lab::create(tag)).keep();
    EXPECT_TRUE(exists(tag + "-host"));
    EXPECT_TRUE(exists(tag + "-peer"));
    must(ip("netns del " + tag + "-host"));
    must(ip("netns del " + tag + "-peer"));
}

TEST_F(Network, ExistsBesideOthersWithTheSameLinks) {
    const auto first = must(Lab::create(unique_tag()));
    const auto second = must(Lab::create(unique_tag(), 2));
    EXPECT_EQ(first.host_link, second.host_link);
    EXPECT_EQ(packets_of(second.peer, second.peer_link).received, 0U);
}

TEST_F(Network, CarriesNothingThatNobodySent) {
    const auto lab = must(Lab::create(unique_tag()));
    EXPECT_EQ(packets_of(lab.host, lab.host_link).received, 0U);
    EXPECT_EQ(packets_of(lab.peer, lab.peer_link).received, 0U);
}

TEST_F(Network, HasGroOnAtBothEnds) {
    const auto lab = must(Lab::create(unique_tag()));
    EXPECT_TRUE(gro_is_on(lab.host, lab.host_link));
    EXPECT_TRUE(gro_is_on(lab.peer, lab.peer_link));
}

TEST_F(Network, IsEnteredByTheCallingThreadOnlyAndLeftAgain) {
    const auto space = must(NetNamespace::create(unique_tag()));
    const auto home = current_namespace();
    {
        const auto entered = must(space.enter());
        EXPECT_NE(current_namespace(), home);
        EXPECT_EQ(links_here(), std::set<std::string>{"lo"});
    }
    EXPECT_EQ(current_namespace(), home);
    std::jthread([&] {
        const auto entered = must(space.enter());
        EXPECT_NE(current_namespace(), home);
    }).join();
    EXPECT_EQ(current_namespace(), home);
}

TEST_F(Network, ThatIsMissingCannotBeEntered) {
    auto space = must(NetNamespace::create(unique_tag()));
    must(ip("netns del " + space.name()));
    const auto entered = space.enter();
    ASSERT_FALSE(entered);
    EXPECT_NE(entered.error().what.find(space.name()), std::string::npos);
    space.keep();
}

TEST_F(Network, ErrorsAreWhatTheCommandSaid) {
    const auto failed = ip("link  set no-such-link up");
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().what, "ip link  set no-such-link up: Cannot find device \"no-such-link\"");
}

} // namespace
} // namespace homeostat::lab

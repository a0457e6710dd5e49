// What the kernel itself says about the networks under test.
#pragma once

#include "adapters/lab/network.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

namespace homeostat::lab {

// No two networks of any test share it.
inline std::string unique_tag() {
    static int count = 0;
    return "ht" + std::to_string(::getpid()) + "-" + std::to_string(++count);
}

struct LinkPackets {
    std::uint64_t received = 0;
    std::uint64_t transmitted = 0;
};

inline LinkPackets packets_of(const NetNamespace& space, const std::string& link) {
    const auto entered = space.enter();
    std::ifstream file("/proc/thread-self/net/dev");
    for (std::string line; std::getline(file, line);) {
        std::istringstream fields(line);
        std::string name;
        fields >> name;
        if (name != link + ":") continue;
        LinkPackets packets;
        std::uint64_t skipped = 0;
        fields >> skipped >> packets.received;
        for (int i = 0; i < 7; ++i) fields >> skipped;
        fields >> packets.transmitted;
        return packets;
    }
    ADD_FAILURE() << "no link " << link << " in " << space.name();
    return {};
}

template <class T> T must(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().what);
    return std::move(*result);
}

inline void must(Result<void> result) {
    if (!result) throw std::runtime_error(result.error().what);
}

class WithPrivileges : public testing::Test {
  protected:
    void SetUp() override {
        if (::geteuid() != 0) GTEST_SKIP() << "making network namespaces needs root";
    }
};

} // namespace homeostat::lab

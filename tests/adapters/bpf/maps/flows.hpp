// The two versions of a program that flows_old.bpf.c and flows_new.bpf.c are, and what migrates between them.
#pragma once

#include "adapters/bpf/maps/map_migration.hpp"
#include "tests/adapters/bpf/objects.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace homeostat::bpf {

inline constexpr std::uint32_t keys_per_packet = 64; // as in flows.bpf.h

struct OldCount { // as in flows_old.bpf.c
    std::uint64_t packets;
    std::uint32_t bytes;
    std::uint16_t small;
    std::uint8_t tiny;
    std::int8_t balance;
};
static_assert(sizeof(OldCount) == 16);

struct NewCount { // as in flows_new.bpf.c
    std::int16_t balance;
    std::uint8_t tiny;
    std::uint8_t padding;
    std::uint16_t small;
    std::uint64_t bytes;
    std::uint64_t drops;
    std::uint64_t packets;
};
static_assert(sizeof(NewCount) == 32);

struct OldFlow {
    std::uint32_t packets;
    std::uint32_t bytes;
};

struct NewFlow {
    std::uint64_t bytes;
    std::uint64_t packets;
};

struct OldState {
    std::uint64_t seen;
    std::array<std::uint8_t, 6> address;
    std::uint16_t port;
    std::uint64_t twice;
};
static_assert(sizeof(OldState) == 24);

struct NewState {
    std::uint16_t port;
    std::array<std::uint8_t, 6> address;
    std::uint32_t added;
    std::uint64_t twice;
    std::uint64_t seen;
};
static_assert(sizeof(NewState) == 32);

inline const std::size_t cpus = static_cast<std::size_t>(libbpf_num_possible_cpus());
inline const std::string merger = HOMEOSTAT_BINARY_DIR "/bpf/map_merge.bpf.o";
inline const MergeRule sum{Merge::sum, ""};

// A version of the program, loaded, with its maps.
class Version {
  public:
    explicit Version(const std::string& object) : layout_(*read_layout(object_path(object))) {
        object_.reset(bpf_object__open(object_path(object).c_str()));
        if (!object_) throw std::runtime_error("open " + object);
    }

    Version& resize(const char* map, std::uint32_t entries) {
        bpf_map__set_max_entries(find(map), entries);
        return *this;
    }

    Version& load() {
        if (const int error = bpf_object__load(object_.get()); error != 0)
            throw std::runtime_error("load: " + std::string(std::strerror(-error)));
        return *this;
    }

    MapDefinition definition(const char* map) const {
        MapDefinition definition = read_definition(find(map), bpf_object__btf(object_.get()), layout_);
        definition.layout.max_entries = bpf_map__max_entries(find(map));
        return definition;
    }

    int map(const char* name) const { return bpf_map__fd(find(name)); }
    int program(const char* name) const {
        return bpf_program__fd(bpf_object__find_program_by_name(object_.get(), name));
    }

    template <class Value> void put(const char* name, std::uint32_t key, const std::vector<Value>& values) {
        ASSERT_EQ(bpf_map_update_elem(map(name), &key, values.data(), BPF_ANY), 0) << name << " " << key;
    }
    // One for each CPU of a per-CPU map; empty where there is no entry.
    template <class Value> std::vector<Value> get(const char* name, std::uint32_t key) const {
        std::vector<Value> values(definition(name).layout.per_cpu() ? cpus : 1);
        if (bpf_map_lookup_elem(map(name), &key, values.data()) != 0) values.clear();
        return values;
    }

  private:
    struct Close {
        void operator()(bpf_object* object) const { bpf_object__close(object); }
    };
    bpf_map* find(const char* name) const { return bpf_object__find_map_by_name(object_.get(), name); }

    ObjectLayout layout_;
    std::unique_ptr<bpf_object, Close> object_;
};

inline MigrateMap plan_of(const Version& from, const Version& to, const char* map, const MergeRule& rule) {
    const CarryOver compared = compare_maps(from.definition(map), to.definition(map), rule);
    if (const auto* refused = std::get_if<RefuseMap>(&compared)) throw std::runtime_error(refused->reason);
    return std::get<MigrateMap>(compared);
}

class MapMigrationTest : public testing::Test {
  protected:
    Version old_{"flows_old"};
    Version new_{"flows_new"};

    void load() {
        old_.load();
        new_.load();
    }
};

} // namespace homeostat::bpf

#include "tests/bpf/harness.hpp"

#include <bpf/btf.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace homeostat::bpf_test {
namespace {

std::unique_ptr<bpf_object, decltype(&bpf_object__close)> open_object(const char* name) {
    return {bpf_object__open(object_path(name).c_str()), &bpf_object__close};
}

// Names of the members of a struct or the enumerators of an enum; empty where the BTF has no such type.
std::vector<std::string> member_names(const btf* types, const char* name, std::uint32_t kind) {
    std::vector<std::string> names;
    const auto id = btf__find_by_name_kind(types, name, kind);
    if (id < 0) return names;
    const btf_type* type = btf__type_by_id(types, static_cast<std::uint32_t>(id));
    for (std::uint16_t i = 0; i < btf_vlen(type); ++i) {
        const auto offset =
            kind == BTF_KIND_STRUCT ? btf_members(type)[i].name_off : btf_enum(type)[i].name_off;
        names.emplace_back(btf__name_by_offset(types, offset));
    }
    return names;
}

class Objects : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(EachProgram, Objects, testing::Values("xdp_counter", "xdp_guard"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST_P(Objects, CarryTheTypesOfTheirRecordsAndKeys) {
    const auto object = open_object(GetParam());
    ASSERT_TRUE(object);
    const btf* types = bpf_object__btf(object.get());
    ASSERT_TRUE(types);
    EXPECT_EQ(member_names(types, "over_limit_event", BTF_KIND_STRUCT),
              (std::vector<std::string>{"ktime_ns", "ifindex", "proto", "packets", "over", "reserved"}));
    EXPECT_EQ(member_names(types, "ring_name", BTF_KIND_ENUM),
              (std::vector<std::string>{"RING_URGENT_EVENTS", "RING_FLOW_EVENTS"}));
    const auto classes = member_names(types, "proto_class", BTF_KIND_ENUM);
    EXPECT_EQ(classes.size(), std::size_t{PROTO_CLASS_COUNT});
    EXPECT_TRUE(std::ranges::all_of(classes, [](const auto& name) { return name.starts_with("PROTO_"); }));
}

// So that a word alone says which enum is meant.
TEST_P(Objects, UseNoWordInTwoEnums) {
    const auto object = open_object(GetParam());
    ASSERT_TRUE(object);
    const btf* types = bpf_object__btf(object.get());
    std::set<std::string> words;
    for (std::uint32_t id = 1; id < btf__type_cnt(types); ++id) {
        const btf_type* type = btf__type_by_id(types, id);
        if (!btf_is_enum(type)) continue;
        for (std::uint16_t i = 0; i < btf_vlen(type); ++i) {
            const std::string name = btf__name_by_offset(types, btf_enum(type)[i].name_off);
            EXPECT_TRUE(words.insert(name.substr(name.find('_') + 1)).second) << name;
        }
    }
}

std::vector<std::string> programs_of(bpf_object* object, bpf_prog_type type) {
    std::vector<std::string> names;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object) {
        if (bpf_program__type(program) == type) names.emplace_back(bpf_program__name(program));
    }
    return names;
}

TEST_P(Objects, HaveOneXdpProgramAndKeepStateInNamedMapsOnly) {
    const auto object = open_object(GetParam());
    ASSERT_TRUE(object);
    EXPECT_EQ(programs_of(object.get(), BPF_PROG_TYPE_XDP), std::vector<std::string>{GetParam()});

    std::set<std::string> short_names; // the kernel cuts names to 15 characters
    const bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object.get()) {
        const std::string name = bpf_map__name(map);
        if (name.ends_with(".rodata")) continue; // constants
        EXPECT_FALSE(bpf_map__is_internal(map)) << name;
        EXPECT_TRUE(short_names.insert(name.substr(0, 15)).second) << name;
    }
}

TEST(Twins, AreInTheObjectOfTheirProgram) {
    const auto counter = open_object("xdp_counter");
    const auto guard = open_object("xdp_guard");
    ASSERT_TRUE(counter && guard);
    EXPECT_EQ(programs_of(counter.get(), BPF_PROG_TYPE_SCHED_CLS), std::vector<std::string>{});
    EXPECT_EQ(programs_of(guard.get(), BPF_PROG_TYPE_SCHED_CLS), std::vector<std::string>{"tc_guard"});
}

TEST(FlowEvents, AreInTheGuardsTypes) {
    const auto object = open_object("xdp_guard");
    ASSERT_TRUE(object);
    const auto fields = member_names(bpf_object__btf(object.get()), "flow_event", BTF_KIND_STRUCT);
    EXPECT_EQ(fields, (std::vector<std::string>{"ktime_ns", "ifindex", "proto", "verdict", "reason", "source",
                                                "destination", "source_port", "destination_port", "length",
                                                "sample_every", "reserved"}));
}

TEST(SharedMaps, HaveOneDefinitionInBothPrograms) {
    const auto counter = open_object("xdp_counter");
    const auto guard = open_object("xdp_guard");
    ASSERT_TRUE(counter && guard);
    const bpf_map* map = nullptr;
    bpf_object__for_each_map(map, counter.get()) {
        if (bpf_map__is_internal(map)) continue;
        const char* name = bpf_map__name(map);
        const bpf_map* twin = bpf_object__find_map_by_name(guard.get(), name);
        ASSERT_TRUE(twin) << name;
        EXPECT_EQ(bpf_map__type(map), bpf_map__type(twin)) << name;
        EXPECT_EQ(bpf_map__key_size(map), bpf_map__key_size(twin)) << name;
        EXPECT_EQ(bpf_map__value_size(map), bpf_map__value_size(twin)) << name;
        EXPECT_EQ(bpf_map__max_entries(map), bpf_map__max_entries(twin)) << name;
    }
}

class Replacement : public KernelTest {};

TEST_F(Replacement, ByAProgramWithTheSameMapsResetsNoCounter) {
    const Program counter("xdp_counter");
    counter.run(udp_frame(), 100);

    const auto guard = open_object("xdp_guard");
    ASSERT_TRUE(guard);
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, guard.get()) {
        if (bpf_map__is_internal(map)) continue;
        const int shared = bpf_object__find_map_fd_by_name(counter.object(), bpf_map__name(map));
        if (shared >= 0) {
            ASSERT_EQ(bpf_map__reuse_fd(map, shared), 0);
        }
    }
    bpf_program__set_autoload(bpf_object__find_program_by_name(guard.get(), "tc_guard"), false);
    ASSERT_EQ(bpf_object__load(guard.get()), 0);

    const Frame frame = udp_frame();
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = frame.data();
    options.data_size_in = static_cast<std::uint32_t>(frame.size());
    options.repeat = 50;
    const bpf_program* program = bpf_object__find_program_by_name(guard.get(), "xdp_guard");
    ASSERT_EQ(bpf_prog_test_run_opts(bpf_program__fd(program), &options), 0);
    EXPECT_EQ(counter.sum<proto_count>("proto_counters", PROTO_UDP).packets, 150u);
}

} // namespace
} // namespace homeostat::bpf_test

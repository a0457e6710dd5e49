#include "adapters/bpf/maps/map_definitions.hpp"
#include "tests/adapters/bpf/objects.hpp"

#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace homeostat::bpf {
namespace {

using testing::HasSubstr;

MapDefinitions all_of(const std::vector<std::string>& objects) {
    MapDefinitions definitions;
    for (const std::string& name : objects) {
        const std::unique_ptr<bpf_object, decltype(&bpf_object__close)> object(
            bpf_object__open(object_path(name).c_str()), bpf_object__close);
        const ObjectLayout layout = *read_layout(object_path(name));
        const bpf_map* map = nullptr;
        bpf_object__for_each_map(map, object.get()) {
            if (bpf_map__is_internal(map)) continue;
            definitions.emplace(definitions.size() + 1,
                                read_definition(map, bpf_object__btf(object.get()), layout));
        }
    }
    return definitions;
}

TEST(MapDefinitions, AreReadAsTheyWereWritten) {
    const MapDefinitions definitions = all_of({"flows_old", "shapes", "counting", "active_program"});
    ASSERT_GT(definitions.size(), 15u);
    const auto read = read_map_definitions(to_text(definitions));
    ASSERT_TRUE(read) << read.error().what;
    EXPECT_EQ(*read, definitions);
    EXPECT_TRUE(std::ranges::any_of(*read, [](const auto& one) { return !one.second.enums.empty(); }));
}

TEST(MapDefinitions, DamagedOnesAreAnErrorThatSaysWhatToDo) {
    std::string text = to_text(all_of({"counting"}));
    EXPECT_THAT(read_map_definitions(text.substr(0, text.size() / 2)).error().what,
                HasSubstr("it is damaged"));
    text.replace(text.find("\"version\":1"), 11, "\"version\":9");
    EXPECT_EQ(read_map_definitions(text).error().what, "it has version 9, and this program reads version 1");
    EXPECT_THAT(read_map_definitions(R"({"version":1,"maps":[{"id":1}]})").error().what,
                HasSubstr("it is damaged"));

    const std::string path = testing::TempDir() + "/damaged-definitions";
    std::ofstream(path) << "{";
    EXPECT_THAT(load_map_definitions(path).error().what, HasSubstr("remove it to go on so"));
    std::filesystem::remove(path);
    EXPECT_EQ(load_map_definitions(path), MapDefinitions{}) << "none, where there is no file";
}

} // namespace
} // namespace homeostat::bpf

#include "tests/adapters/bpf/objects.hpp"

#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace homeostat::bpf {
namespace {

using Kind = FieldLayout::Kind;

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

class ObjectLayoutTest : public testing::Test {
  protected:
    void SetUp() override { std::filesystem::create_directories(folder_); }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::string error_of(const std::string& content) {
        const std::string path = folder_ + "/object";
        std::ofstream(path, std::ios::binary) << content;
        const auto layout = read_layout(path);
        return layout ? "" : layout.error().what;
    }

    std::string folder_ = testing::TempDir() + "object_layout_test." + std::to_string(::getpid());
};

TEST_F(ObjectLayoutTest, StructsAreFlattenedToTheirLeaves) {
    const auto layout = read_layout(object_path("shapes"));
    ASSERT_TRUE(layout) << layout.error().what;
    const TypeLayout* shape = layout->record("shape");
    ASSERT_NE(shape, nullptr);
    const std::vector<FieldLayout> expected{
        {"address", 0, 6, Kind::bytes, ""},
        {"name", 6, 10, Kind::bytes, ""},
        {"flag", 16, 1, Kind::boolean, ""},
        {"offset", 18, 2, Kind::signed_integer, ""},
        {"level", 20, 4, Kind::enumeration, "level"},
        {"inner.port", 24, 2, Kind::unsigned_integer, ""},
        {"inner.colour", 28, 4, Kind::enumeration, "colour"},
        {"list.0", 32, 4, Kind::unsigned_integer, ""},
        {"list.1", 36, 4, Kind::unsigned_integer, ""},
        {"list.2", 40, 4, Kind::unsigned_integer, ""},
        {"pair.0.port", 44, 2, Kind::unsigned_integer, ""},
        {"pair.0.colour", 48, 4, Kind::enumeration, "colour"},
        {"pair.1.port", 52, 2, Kind::unsigned_integer, ""},
        {"pair.1.colour", 56, 4, Kind::enumeration, "colour"},
        {"whole", 64, 8, Kind::unsigned_integer, ""},
        {"half", 64, 4, Kind::unsigned_integer, ""},
        {"last", 80, 8, Kind::signed_integer, ""},
    };
    EXPECT_EQ(shape->size, 88u);
    ASSERT_EQ(shape->fields.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
        EXPECT_EQ(shape->fields[i], expected[i])
            << shape->fields[i].name << " at " << shape->fields[i].offset;
}

TEST_F(ObjectLayoutTest, TcProgramsAreListedApart) {
    const auto layout = read_layout(object_path("with_twin"));
    ASSERT_TRUE(layout) << layout.error().what;
    EXPECT_EQ(layout->programs, std::vector<std::string>{"pass"});
    EXPECT_EQ(layout->tc_programs, (std::vector<std::string>{"twin", "other_twin"}));
    EXPECT_TRUE(read_layout(object_path("shapes"))->tc_programs.empty());
}

TEST_F(ObjectLayoutTest, EnumsKeepTheirWordsAndSigns) {
    const auto layout = read_layout(object_path("shapes"));
    ASSERT_TRUE(layout);
    ASSERT_NE(layout->enumeration("colour"), nullptr);
    EXPECT_EQ(layout->enumeration("colour")->word(2), "dark_blue");
    ASSERT_NE(layout->enumeration("level"), nullptr) << "an anonymous enum is known by its typedef";
    EXPECT_EQ(layout->enumeration("level")->value("low"), -1);
}

TEST_F(ObjectLayoutTest, MapsHaveTheirKindsAndTypes) {
    const auto layout = read_layout(object_path("shapes"));
    ASSERT_TRUE(layout);
    EXPECT_EQ(layout->programs, (std::vector<std::string>{"emit", "emit_many", "touch"}));
    const std::map<std::string, MapLayout::Kind> kinds{
        {"plain_array", MapLayout::Kind::array}, {"cpu_array", MapLayout::Kind::percpu_array},
        {"plain_hash", MapLayout::Kind::hash},   {"cpu_hash", MapLayout::Kind::percpu_hash},
        {"lru_hash", MapLayout::Kind::lru_hash}, {"lru_cpu_hash", MapLayout::Kind::lru_percpu_hash},
        {"events", MapLayout::Kind::ringbuf},    {"shapes", MapLayout::Kind::hash},
        {"by_size", MapLayout::Kind::hash},      {"many_events", MapLayout::Kind::ringbuf},
    };
    EXPECT_EQ(layout->maps.size(), kinds.size());
    for (const auto& [name, kind] : kinds) {
        ASSERT_NE(layout->map(name), nullptr) << name;
        EXPECT_EQ(layout->map(name)->kind, kind) << name;
    }
    EXPECT_EQ(layout->map("plain_hash")->key.name, "flow_key");
    EXPECT_EQ(layout->map("plain_hash")->value.name, "reading");
    EXPECT_EQ(layout->map("plain_hash")->max_entries, 10'000u);
    EXPECT_EQ(layout->map("shapes")->key.fields,
              (std::vector<FieldLayout>{{"", 0, 4, Kind::enumeration, "colour"}}));
    EXPECT_EQ(layout->map("cpu_hash")->key.fields,
              (std::vector<FieldLayout>{{"", 0, 4, Kind::unsigned_integer, ""}}));
    EXPECT_EQ(layout->map("by_size")->value.fields, (std::vector<FieldLayout>{{"", 0, 12, Kind::bytes, ""}}));
}

TEST_F(ObjectLayoutTest, GlobalVariablesAreNoMapsOfTheLayout) {
    const auto layout = read_layout(object_path("counting"));
    ASSERT_TRUE(layout);
    EXPECT_EQ(layout->maps.size(), 4u);
}

TEST_F(ObjectLayoutTest, NoPrivilegesAreNeeded) {
    if (::geteuid() != 0) return; // the other tests were the proof
    const pid_t child = ::fork();
    if (child == 0) {
        const bool dropped = ::setgid(65534) == 0 && ::setuid(65534) == 0;
        const bool readable = dropped && ::access(object_path("shapes").c_str(), R_OK) == 0;
        ::_exit(!readable || read_layout(object_path("shapes")) ? 0 : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
}

TEST_F(ObjectLayoutTest, EachKindOfWrongFileHasItsOwnError) {
    const auto missing = read_layout("/nowhere/object.o");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().what, "object /nowhere/object.o: No such file or directory (ENOENT)");
    EXPECT_NE(error_of("").find("it is empty"), std::string::npos);
    EXPECT_NE(error_of("int main() {}\n").find("not an ELF file: it is a text file"), std::string::npos);
    EXPECT_NE(error_of(std::string("\x89PNG\0\1", 6)).find("binary file of another format"),
              std::string::npos);
    EXPECT_NE(error_of(read_file("/proc/self/exe")).find("x86-64, not for BPF"), std::string::npos);
    std::string swapped = read_file(object_path("counting"));
    swapped[5] = swapped[5] == 1 ? 2 : 1;
    EXPECT_NE(error_of(swapped).find("other byte order"), std::string::npos);
}

TEST_F(ObjectLayoutTest, AnObjectThatIsNotWhatItSaysIsRefusedWithTheRemedy) {
    const auto refusal = [](const std::string& name) {
        const std::string path = object_path(name);
        const auto layout = read_layout(path);
        return layout ? "" : layout.error().what.substr(("object " + path + ": ").size());
    };
    EXPECT_EQ(refusal("no_types"), "no BTF; compile it with clang -g -target bpf");
    EXPECT_EQ(refusal("not_xdp"),
              "no XDP or TC program, but classify in SEC(\"socket\"); expected a function in SEC(\"xdp\") or "
              "SEC(\"tc\")");
    EXPECT_EQ(refusal("no_program"), "no program; expected a function in SEC(\"xdp\") or SEC(\"tc\")");
    EXPECT_EQ(refusal("legacy_maps"),
              "its maps are defined in SEC(\"maps\"), which libbpf no longer takes; define them in "
              "SEC(\".maps\") by __uint and __type");
    EXPECT_EQ(refusal("unknown_section"),
              "program misspelt is in SEC(\"xpd\"), which libbpf " + std::string(libbpf_version_string()) +
                  " does not know as a kind of program; did you mean SEC(\"xdp\")?");
}

TEST_F(ObjectLayoutTest, TcProgramsAreFoundInAllTheirSectionsAlsoWithoutAnXdpProgram) {
    const auto layout = read_layout(object_path("tc_count"));
    ASSERT_TRUE(layout) << layout.error().what;
    EXPECT_THAT(layout->programs, testing::IsEmpty());
    EXPECT_THAT(layout->tc_programs,
                testing::UnorderedElementsAre("count_first", "count_second", "count_third", "drop"));
    EXPECT_EQ(layout->kind_of("count_third"), ProgramKind::tc);
    EXPECT_EQ(layout->kind_of("nobody"), std::nullopt);
    EXPECT_EQ(layout->only_program(), std::nullopt) << "there are four";

    const auto both = read_layout(object_path("with_twin"));
    ASSERT_TRUE(both) << both.error().what;
    EXPECT_EQ(both->only_program(), "pass") << "the one XDP program is meant, whatever stands beside it";
}

TEST_F(ObjectLayoutTest, WhatIsNoFileIsSaidToBeNone) {
    EXPECT_EQ(read_layout(folder_).error().what,
              "object " + folder_ + ": a folder; name an object file in it");
    EXPECT_EQ(read_layout("").error().what, "object '': No such file or directory (ENOENT)");
    EXPECT_EQ(read_layout("/dev/zero").error().what, "object /dev/zero: no regular file");
}

TEST_F(ObjectLayoutTest, AnObjectThatIsCutOffIsSaidToBe) {
    const std::string whole = read_file(object_path("counting"));
    const std::string error = error_of(whole.substr(0, whole.size() / 2));
    EXPECT_NE(error.find("a damaged ELF file: it is cut off after " + std::to_string(whole.size() / 2) +
                         " bytes, before the end of its table of sections; copy or compile it again"),
              std::string::npos)
        << error;
    EXPECT_NE(error_of(whole.substr(0, 20)).find("it ends within its header; copy or compile it again"),
              std::string::npos);
}

TEST_F(ObjectLayoutTest, AnObjectWithAnyByteOverwrittenIsAnErrorOrAnObject) {
    const std::string whole = read_file(object_path("counting"));
    testing::internal::CaptureStderr();
    int refused = 0;
    for (std::size_t at = 64; at < whole.size(); at += 3) {
        std::string damaged = whole;
        damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
        if (!error_of(damaged).empty()) ++refused;
    }
    EXPECT_GT(refused, 100);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(ObjectLayoutTest, ATruncatedObjectIsAnErrorWhereverItIsCut) {
    const std::string whole = read_file(object_path("counting"));
    ASSERT_GT(whole.size(), 64u);
    testing::internal::CaptureStderr();
    for (std::size_t length = 4; length < whole.size(); length += 37) {
        const std::string error = error_of(whole.substr(0, length));
        EXPECT_NE(error.find("damaged ELF file"), std::string::npos) << length << ": " << error;
    }
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "libbpf's own log belongs into the error";
}

} // namespace
} // namespace homeostat::bpf

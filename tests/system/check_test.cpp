// Mistakes in files and on the command line: all are told, each with its place, before anything is touched.

#include "tests/system/controller.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <sstream>

namespace homeostat::system_test {

namespace {

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    if (at == std::string::npos) throw std::runtime_error("no '" + from + "' in the text");
    return text.replace(at, from.size(), to);
}

// "LINE:COLUMN: " of the first occurrence.
std::string place_of(const std::string& text, const std::string& words) {
    const std::size_t at = text.find(words);
    if (at == std::string::npos) throw std::runtime_error("no '" + words + "' in the text");
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
    const std::size_t begin = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;
    return std::to_string(line) + ":" + std::to_string(at - begin + 1) + ": ";
}

class Check : public testing::Test {
  protected:
    Finished check(std::vector<std::string> words) const {
        words.insert(words.begin(), {homeostat(), "check"});
        return run_to_end(std::move(words), {.folder = folder_.path()});
    }

    void expect_line(const Finished& finished, const std::string& begin,
                     const std::vector<std::string>& words) const {
        const auto lines = lines_of(finished.out + finished.errors);
        EXPECT_TRUE(std::ranges::any_of(lines,
                                        [&](const std::string& line) {
                                            return line.starts_with(begin) &&
                                                   std::ranges::all_of(words, [&](const std::string& word) {
                                                       return line.find(word) != std::string::npos;
                                                   });
                                        }))
            << "no line '" << begin << "' with " << testing::PrintToString(words) << " in\n"
            << finished.out << finished.errors;
    }

    Folder folder_;
};

constexpr std::string_view at_most_12 =
    ": at most 12 changes an hour (guard-under-udp-flood: budget 6/1h, each applied and removed)\n";

TEST_F(Check, FindsNothingWrongInWhatIsShipped) {
    const std::string configs = HOMEOSTAT_SOURCE_DIR "/configs/";
    const std::vector<std::pair<std::string, std::string>> shipped{
        {"controller.toml", "change-me ({{iface}})"},
        {"lab.toml", "lab0 ({{iface}})"},
        {"policies/udp-flood.toml", "{{iface}}"}};
    for (const auto& [name, target] : shipped) {
        const Finished finished = check({"--strict", configs + name});
        EXPECT_EQ(finished.code, 0) << finished.out << finished.errors;
        EXPECT_EQ(finished.out, "1 file: nothing is wrong\n" + target + std::string(at_most_12));
    }
}

TEST_F(Check, APolicyIsJudgedOnceWhetherTheConfigurationNamesItOrNot) {
    folder_.write("config.toml", Config{}.text());
    folder_.write("policy.toml", Policy{}.text());
    EXPECT_EQ(check({"-c", "config.toml", "policy.toml"}).out,
              "2 files: nothing is wrong\nlab0 ({{iface}})" + std::string(at_most_12));

    // Another one that has the same names stands twice.
    folder_.write("draft.toml", Policy{}.text());
    const Finished finished = check({"-c", "config.toml", "draft.toml"});
    EXPECT_EQ(finished.code, 1);
    expect_line(finished, "", {"signal 'counted' stands twice", "policy.toml:4"});
}

TEST_F(Check, OnlyAConfigurationTellsWhichLabelsAndValuesThereAre) {
    const std::string policy =
        Policy{.raise = R"(udp_pps{ifac="lab0"} > 5k or rate(xdp_packets_total{proto="udpp"}[1s]) > 5k)"}
            .text();
    folder_.write("config.toml", Config{}.text());
    folder_.write("policy.toml", policy);
    EXPECT_EQ(check({"policy.toml"}).code, 0);
    const Finished finished = check({"config.toml"});
    EXPECT_EQ(finished.code, 1);
    expect_line(finished, "policy.toml:" + place_of(policy, "ifac="),
                {"'udp_pps' has no label 'ifac'", "did you mean 'iface'?"});
    expect_line(finished, "policy.toml:" + place_of(policy, "proto=\"udpp\""),
                {"'proto' of 'xdp_packets_total' is never \"udpp\"", "did you mean 'udp'?"});
    EXPECT_EQ(finished.out.find("at most"), std::string::npos) << "of policies that cannot run";
}

TEST_F(Check, WarningsAreToldAndFailOnlyWhereItIsAskedFor) {
    const std::string policy = Policy{.clear = "max_over_time(udp_pps[2s]) < 9k"}.text();
    folder_.write("config.toml", Config{}.text());
    folder_.write("policy.toml", policy);
    const Finished finished = check({"config.toml"});
    EXPECT_EQ(finished.code, 0);
    expect_line(finished, "policy.toml:" + place_of(policy, "max_over_time"),
                {"warning: at 7000 both hold: raise is > 5000, clear is < 9000", "[overlapping-clear]"});
    expect_line(finished, "1 file: nothing is wrong, 1 warning", {});
    EXPECT_EQ(check({"--strict", "config.toml"}).code, 1);

    const boost::json::value json = boost::json::parse(check({"--json", "config.toml"}).out);
    const boost::json::array& told = json.at("diagnostics").as_array();
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].at("kind"), "warning");
    EXPECT_EQ(told[0].at("name"), "overlapping-clear");

    folder_.write("policy.toml", replaced(policy, "allow = [", "allow = [\"overlapping-clear\", "));
    EXPECT_EQ(check({"--strict", "config.toml"}).code, 0);
}

TEST_F(Check, JsonHasTheBoundsWithWhatTheyComeFrom) {
    folder_.write("config.toml", Config{}.text());
    folder_.write("policy.toml", Policy{.budget = "600/1h"}.text());
    const boost::json::value json = boost::json::parse(check({"--json", "config.toml"}).out);
    const boost::json::array& bounds = json.at("bounds").as_array();
    ASSERT_EQ(bounds.size(), 1U);
    EXPECT_EQ(bounds[0].at("target"), "lab0");
    EXPECT_EQ(bounds[0].at("written"), "{{iface}}");
    EXPECT_EQ(bounds[0].at("changes_per_hour_max"), 1200);
    const boost::json::value& share = bounds[0].at("adaptations").as_array().at(0);
    EXPECT_EQ(share.at("adaptation"), "guard-under-udp-flood");
    EXPECT_EQ(share.at("changes_per_hour_max"), 1200);
    EXPECT_EQ(share.at("because"), "budget 600/1h, each applied and removed");
    const boost::json::array& told = json.at("diagnostics").as_array();
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].at("name"), "undamped");
}

TEST_F(Check, OnlyAConfigurationTellsWhetherMetricsProgramsAndMapsExist) {
    const std::string policy = replaced(
        replaced(Policy{}.text(), "'xdp_packets_total'", "'xdp_packet_total'"), "\"guard\"", "\"gaurd\"");
    folder_.write("config.toml", Config{}.text());
    folder_.write("policy.toml", Policy{}.text());
    folder_.write("draft.toml", policy);
    EXPECT_EQ(check({"draft.toml"}).code, 0);
    folder_.write("config.toml", replaced(Config{}.text(), "policy.toml", "draft.toml"));
    const Finished finished = check({"-c", "config.toml", "draft.toml"});
    EXPECT_EQ(finished.code, 1);
    expect_line(finished, "draft.toml:" + place_of(policy, "xdp_packet_total"),
                {"'xdp_packet_total'", "did you mean 'xdp_packets_total'?"});
    expect_line(finished, "draft.toml:" + place_of(policy, "\"gaurd\"").substr(0, 3),
                {"'gaurd'", "did you mean 'guard'?"});
}

TEST_F(Check, AllMistakesOfAConfigurationAreToldWithPlaceAndSuggestion) {
    std::string text = Config{.maps = "maps.proto_limits.udp = 5"}.text();
    text = replaced(text, "policies = ", "polices  = ");
    text = replaced(text, "\"drv\"", "\"native\"");
    text = replaced(text, "xdp.program = \"counter\"", "xdp.program = \"countr\"");
    text = replaced(text, "xdp_packets_total", "xdp-packets");
    folder_.write("config.toml", text);
    const Finished finished = check({"config.toml"});
    EXPECT_EQ(finished.code, 1);
    expect_line(finished, "config.toml:" + place_of(text, "polices"), {"'controller.polices'", "'policies'"});
    expect_line(finished, "config.toml:" + place_of(text, "native"), {"'native'", "\"drv\""});
    expect_line(finished, "config.toml:" + place_of(text, "countr"), {"'countr'", "'counter'"});
    expect_line(finished, "config.toml:" + place_of(text, "xdp-packets"), {"'xdp-packets'", "expected"});
    EXPECT_GE(lines_of(finished.out).size(), 4U);
}

TEST_F(Check, MistakesInAPromqlStringPointIntoIt) {
    const std::string text =
        Policy{.raise = "udp_pps > 1 and rte(udp_pps[1s]) > 0", .clear = "udp_pps <"}.text();
    folder_.write("policy.toml", text);
    const Finished finished = check({"policy.toml"});
    EXPECT_EQ(finished.code, 1);
    expect_line(finished, "policy.toml:" + place_of(text, "rte("),
                {"unknown function with name \"rte\"", "'rate'"});
    expect_line(finished, "policy.toml:" + place_of(text, "udp_pps <'").substr(0, 3), {"ends too early"});
    const std::string end = place_of(text, "udp_pps <'");
    const int column = std::stoi(end.substr(end.find(':') + 1)) + 9;
    expect_line(finished, "policy.toml:" + end.substr(0, end.find(':') + 1) + std::to_string(column), {});
}

TEST_F(Check, ATomlSyntaxErrorIsToldAlone) {
    const std::string text = replaced(Config{.mode = "\"native\""}.text(), "[[program]]", "[[program]");
    folder_.write("config.toml", text);
    const Finished finished = check({"config.toml"});
    EXPECT_EQ(finished.code, 1);
    EXPECT_EQ(lines_of(finished.out).size(), 1U) << finished.out;
    expect_line(finished, "config.toml:" + place_of(text, "[[program]").substr(0, 2), {"TOML syntax"});
}

TEST_F(Check, FilesThatAreNoneAreToldByName) {
    std::filesystem::create_directory(folder_.path() / "folder.toml");
    folder_.write("empty.toml", "");
    folder_.write("binary.toml", std::string_view("\x7f"
                                                  "ELF\x02\x01\x00\x00\xff\xfe",
                                                  10));
    const std::vector<std::pair<std::string, std::string>> files{{"missing.toml", "No such file"},
                                                                 {"folder.toml", "is a folder"},
                                                                 {"empty.toml", "'version' is missing"},
                                                                 {"binary.toml", "TOML syntax"}};
    std::vector<std::string> names;
    for (const auto& [name, words] : files) {
        const Finished finished = check({name});
        EXPECT_EQ(finished.code, 1) << name;
        expect_line(finished, name + ":", {words});
        names.push_back(name);
    }
    const Finished together = check(names);
    EXPECT_EQ(together.code, 1);
    EXPECT_EQ(lines_of(together.out).size(), files.size()) << together.out;
}

TEST_F(Check, JsonSaysTheSameAsTheText) {
    folder_.write("config.toml", replaced(Config{.maps = "maps.proto_limits.udp = { pqs = 1 }"}.text(),
                                          "map    = \"proto_counters\"", "map    = \"proto_countres\""));
    folder_.write("policy.toml", Policy{.raise = "udp_pqs > 1"}.text());
    const Finished text = check({"config.toml"});
    const Finished json = check({"--json", "config.toml"});
    EXPECT_EQ(json.code, text.code);
    std::string rebuilt;
    const boost::json::value document = boost::json::parse(json.out);
    const boost::json::array& told = document.at("diagnostics").as_array();
    for (const boost::json::value& d : told) {
        EXPECT_EQ(d.at("kind"), "error");
        const std::string expected(d.at("expected").as_string());
        rebuilt += std::string(d.at("file").as_string()) + ":" +
                   std::to_string(d.at("line").to_number<int>()) + ":" +
                   std::to_string(d.at("column").to_number<int>()) + ": " +
                   std::string(d.at("what").as_string()) + (expected.empty() ? "" : "; " + expected) + "\n";
    }
    EXPECT_EQ(rebuilt, text.out);
    EXPECT_GE(lines_of(rebuilt).size(), 3U);

    folder_.write("config.toml", Config{}.text());
    folder_.write("policy.toml", Policy{}.text());
    EXPECT_TRUE(
        boost::json::parse(check({"--json", "config.toml"}).out).at("diagnostics").as_array().empty());
}

TEST_F(Check, ACommandThatIsNotUnderstoodExitsWith2AndSaysWhereHelpIs) {
    const std::vector<std::vector<std::string>> commands{{},
                                                         {"chek"},
                                                         {"check"},
                                                         {"check", "--jsn", "config.toml"},
                                                         {"run"},
                                                         {"run", "-c"},
                                                         {"run", "-c", "config.toml", "more"},
                                                         {"run", "-c", "config.toml", "--signals", "1s"},
                                                         {"run", "-c", "c.toml", "--json", "--signals", "x"},
                                                         {"lab", "--seconds", "many"}};
    for (std::vector<std::string> words : commands) {
        words.insert(words.begin(), homeostat());
        const Finished finished = run_to_end(words);
        EXPECT_EQ(finished.code, 2) << testing::PrintToString(words);
        EXPECT_NE(finished.errors.find("--help"), std::string::npos) << finished.errors;
        EXPECT_EQ(finished.out, "");
    }
    EXPECT_EQ(run_to_end({homeostat(), "lab", "--seconds", "0"}).code, 2);
    EXPECT_EQ(run_to_end({homeostat(), "lab", "--flood", "0"}).code, 2);
}

TEST_F(Check, HelpAndVersionAreNoMistakes) {
    for (const std::vector<std::string>& words : {std::vector<std::string>{"--help"},
                                                  {"--version"},
                                                  {"run", "--help"},
                                                  {"check", "-h"},
                                                  {"lab", "-h"}}) {
        std::vector<std::string> command{homeostat()};
        command.insert(command.end(), words.begin(), words.end());
        const Finished finished = run_to_end(command);
        EXPECT_EQ(finished.code, 0);
        EXPECT_NE(finished.out, "");
        EXPECT_EQ(finished.errors, "");
    }
}

// What `run` refuses, with the file to blame, where in it, and words of the reason.
struct Refused {
    std::string name;
    Config config;
    Policy policy;
    std::string file;
    std::string at; // the text at the place
    std::vector<std::string> words;

    friend void PrintTo(const Refused& refused, std::ostream* out) { *out << refused.name; }
};

class RunRefuses : public InLab, public testing::WithParamInterface<Refused> {};

std::string object_folder(const Folder& folder) {
    return "objects = [\"" + folder.path().string() + "\", \"" HOMEOSTAT_BINARY_DIR "/bpf\"]\n";
}

const std::string in_config = "config.toml";
const std::string in_policy = "policy.toml";

const std::vector<Refused> all_refused{
    {"AnUnknownKey", {.maps = "xdp.mod = \"drv\""}, {}, in_config, "mod = ", {"xdp.mod", "'mode'"}},
    {"AnInterfaceThatIsNotThere",
     {.interface = "lab1"},
     {},
     in_config,
     "lab1",
     {"'lab1'", "there are: lo, lab0"}},
    {"AnObjectThatIsMissing",
     {.more = "[[program]]\nname = \"x\"\nobject = \"xdp_gard.bpf.o\"\n"},
     {},
     in_config,
     "xdp_gard.bpf.o",
     {"xdp_gard.bpf.o", "/bpf"}},
    {"AMapThatNoObjectHas",
     {.maps = "maps.proto_limit.udp = { pps = 1 }"},
     {},
     in_config,
     "{ pps",
     {"'proto_limit'", "'proto_limits'"}},
    {"AFieldThatTheMapDoesNotHave",
     {.maps = "maps.proto_limits.udp = { pqs = 1 }"},
     {},
     in_config,
     "{ pqs",
     {"'pqs'", "'pps'"}},
    {"ASensorOfAFieldThatTheMapDoesNotHave",
     {.more = "[[sensor]]\ntype = \"bpf-map\"\nmap = \"ring_counts\"\nkey = { as = \"ring\" }\n"
              "fields = { lots = \"lost_total\" }\n"},
     {},
     in_config,
     "\"lost_total\"",
     {"'lots'", "'lost'"}},
    {"ASignalOfWhatNoSensorProvides",
     {},
     {.raise = "rate(xdp_packets_totl[1s]) > 1"},
     in_policy,
     "xdp_packets_totl",
     {"'xdp_packets_totl'", "'xdp_packets_total'"}},
    {"APolicyThatIsMissing",
     {.objects = "", .more = ""},
     {},
     in_config,
     "missing.toml",
     {"missing.toml", "No such file"}},
    {"AnObjectThatIsNoElf",
     {.more = "[[program]]\nname = \"x\"\nobject = \"noelf.bpf.o\"\n"},
     {},
     in_config,
     "noelf.bpf.o",
     {"noelf.bpf.o"}}};

INSTANTIATE_TEST_SUITE_P(Before, RunRefuses, testing::ValuesIn(all_refused),
                         [](const auto& refused) { return refused.param.name; });

TEST_P(RunRefuses, AndTouchesNothing) {
    Refused refused = GetParam();
    folder_.write("noelf.bpf.o", "this is text");
    refused.config.objects = object_folder(folder_);
    files(refused.config, refused.policy);
    std::string text = refused.config.text();
    if (refused.at == "missing.toml") text = replaced(text, "policy.toml", refused.at);
    folder_.write(in_config, text);
    const Finished finished = run_to_end({homeostat(), "run", "-c", in_config, "--json"},
                                         {.in = &host(), .folder = folder_.path()});
    EXPECT_EQ(finished.code, 1);
    EXPECT_EQ(finished.out, "") << "it has begun";
    const std::string begin =
        refused.file + ":" + place_of(refused.file == in_config ? text : refused.policy.text(), refused.at);
    const auto lines = lines_of(finished.errors);
    EXPECT_TRUE(std::ranges::any_of(lines,
                                    [&](const std::string& line) {
                                        return line.starts_with(begin) &&
                                               std::ranges::all_of(
                                                   refused.words, [&](const std::string& word) {
                                                       return line.find(word) != std::string::npos;
                                                   });
                                    }))
        << "expected '" << begin << "' with " << testing::PrintToString(refused.words) << "\n"
        << finished.errors;
    EXPECT_FALSE(attached());
}

} // namespace

} // namespace homeostat::system_test

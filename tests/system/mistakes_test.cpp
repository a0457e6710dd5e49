// What every command says of mistakes, and the code with which it ends: 1 for what is found wrong, also in
// files, 2 for a command that was not understood.

#include "tests/system/child.hpp"
#include "tests/system/files.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include <sys/stat.h>

namespace homeostat::system_test {

namespace {

namespace json = boost::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string policies = HOMEOSTAT_SOURCE_DIR "/configs/policies/";
const std::string controller = HOMEOSTAT_SOURCE_DIR "/configs/controller.toml";

constexpr std::string_view good_policy = "version = 1\n[[symptom]]\nname = \"flood\"\nraise = 'pps > 100'\n"
                                         "[[adaptation]]\nname = \"guard\"\nwhen = \"flood\"\n"
                                         "set.interface.\"{{iface}}\".xdp.program = \"guard\"\n";
constexpr std::string_view good_test = R"(version = 1
policies = ["p.toml"]
[[interface]]
name = "eth0"
[[test]]
name = "one"
series = [{ series = 'pps{iface="eth0"}', values = "1x3 200x5" }]
[[test.expect]]
at = "8s"
active = ["guard"]
[[test]]
name = "two"
series = [{ series = 'pps{iface="eth0"}', values = "1x3" }]
[[test.expect]]
active = []
)";

class Mistakes : public testing::Test {
  protected:
    Finished run(std::vector<std::string> words) const {
        words.insert(words.begin(), homeostat());
        return run_to_end(std::move(words), {.folder = folder_.path()});
    }

    // The object that stands alone on standard output.
    json::object object(std::vector<std::string> words, int code = 1) const {
        words.emplace_back("--json");
        const Finished finished = run(std::move(words));
        EXPECT_EQ(finished.code, code);
        EXPECT_EQ(finished.errors, "");
        return json::parse(finished.out).as_object();
    }

    void write_good() const {
        folder_.write("p.toml", good_policy);
        folder_.write("p.test.toml", good_test);
    }

    Folder folder_;
};

TEST_F(Mistakes, InAFileOrAFileThatCannotBeReadEndEveryCommandWith1) {
    folder_.write("p.toml", "version = 1\n[[symptom]]\nname = \"flood\"\nraise = 'pps >'\n");
    folder_.write("p.test.toml", good_test);
    folder_.write("c.toml", "version = 1\n[[interface]]\nnme = \"eth0\"\n");
    for (const std::string file : {"p.test.toml", "absent.toml"}) {
        for (const std::vector<std::string>& words :
             {std::vector<std::string>{"check", file}, {"test", file}, {"eval", "1", "--test", file}}) {
            const Finished finished = run(words);
            EXPECT_EQ(finished.code, 1) << words.front();
            EXPECT_THAT(finished.out + finished.errors,
                        HasSubstr(file == "absent.toml" ? "absent.toml: No such file" : "p.toml:4:"));
        }
    }
    for (const std::string file : {"c.toml", "absent.toml"}) {
        EXPECT_EQ(run({"check", "-c", file}).code, 1);
        EXPECT_EQ(run({"run", "-c", file}).code, 1);
    }
    EXPECT_THAT(run({"--help"}).out, HasSubstr("1  a finding or a failure: also a file that has mistakes"));
}

TEST_F(Mistakes, AreToldAsOneJsonObjectWithTheirPlaces) {
    folder_.write("p.toml", "version = 1\n[[symptom]]\nname = \"flood\"\nraise = 'pps >'\n");
    folder_.write("p.test.toml", good_test);
    for (const std::vector<std::string>& words : {std::vector<std::string>{"check", "p.test.toml"},
                                                  {"test", "p.test.toml"},
                                                  {"eval", "1", "--test", "p.test.toml"}}) {
        const json::object told = object(words);
        const json::array& all = told.at("diagnostics").as_array();
        const auto found =
            std::ranges::find_if(all, [](const json::value& d) { return d.at("file") == "p.toml"; });
        ASSERT_NE(found, all.end()) << words.front();
        EXPECT_EQ(found->at("line"), 4);
        EXPECT_GT(found->at("column").as_int64(), 1);
        EXPECT_EQ(found->at("kind"), "error");
        EXPECT_THAT(std::string(found->at("what").as_string()), HasSubstr("ends too early"));
    }
    write_good();
    const json::object expression = object({"eval", "sum(\n pps,", "--test", "p.test.toml", "--case", "one"});
    EXPECT_EQ(expression.at("diagnostics").at(0).at("line"), 2);
    EXPECT_THAT(std::string(expression.at("error").as_string()), HasSubstr("line 2, column "));
    EXPECT_THAT(
        std::string(
            object({"whynot", "gaurd", "--test", "p.test.toml", "--case", "one"}).at("error").as_string()),
        HasSubstr("did you mean 'guard'?"));
    EXPECT_THAT(std::string(object({"symptoms", "--socket", "/no/such/socket"}).at("error").as_string()),
                HasSubstr("No such file"));
    EXPECT_THAT(std::string(object({"test", "-f", "three", "p.test.toml"}).at("error").as_string()),
                HasSubstr("--filter 'three'"));
}

TEST_F(Mistakes, InAnExpressionThatIsNoUtf8AreEscaped) {
    const std::vector<std::string> words{"eval", "pps \xff", "--test", "p.test.toml", "--case", "one"};
    write_good();
    EXPECT_THAT(run(words).errors, AllOf(HasSubstr("unexpected character '\\xff'"), Not(HasSubstr("\xff"))));
    EXPECT_EQ(object(words).at("diagnostics").at(0).at("what"), "unexpected character '\\xff'");
    const Finished name = run({"whynot", "gu\xff", "--test", "p.test.toml", "--case", "one"});
    EXPECT_EQ(name.code, 1);
    EXPECT_EQ(name.errors, "homeostat whynot: 'gu\\xff' is no UTF-8\n");
}

TEST_F(Mistakes, InAConfigurationEndRunWith1AlsoWhereAHangupCameMeanwhile) {
    const std::string path = (folder_.path() / "c.toml").string();
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    Child child = Child::start({homeostat(), "run", "-c", path});
    std::ofstream pipe(path); // opens once it reads
    child.signal(SIGHUP);
    pipe << "version = 1\n";
    pipe.close();
    EXPECT_EQ(child.wait(), 1);
    EXPECT_THAT(child.errors(), HasSubstr("no interface is named"));
}

TEST_F(Mistakes, AFilterThatFitsNoTestIsOne) {
    write_good();
    const Finished finished = run({"test", "-f", "three", "p.test.toml"});
    EXPECT_EQ(finished.code, 1);
    EXPECT_EQ(finished.errors,
              "homeostat test: no test's name is fitted by --filter 'three'; there are:\n  one\n  two\n");
    EXPECT_EQ(finished.out, "");
    EXPECT_EQ(run({"test", "-f", "tw", "p.test.toml"}).code, 0);
}

TEST_F(Mistakes, CasesAreListedOneALine) {
    write_good();
    EXPECT_EQ(run({"eval", "1", "--test", "p.test.toml"}).errors,
              "homeostat eval: p.test.toml has several cases; choose one with --case:\n  one\n  two\n");
    EXPECT_THAT(run({"eval", "1", "--test", "p.test.toml", "--case", "fourteen"}).errors,
                HasSubstr("has no case 'fourteen'; there are:\n  one\n  two\n"));
}

TEST_F(Mistakes, ATimeBeyondTheCaseIsNoted) {
    write_good();
    const auto ask = [&](const std::string& at) {
        return run({"eval", "pps", "--test", "p.test.toml", "--case", "one", "--at", at}).out;
    };
    EXPECT_EQ(ask("1h"),
              "pps{iface=\"eth0\"} = 200\nnote: the case ends at 9s: this is what is known then\n");
    EXPECT_EQ(ask("9s"), "pps{iface=\"eth0\"} = 200\n");
}

TEST_F(Mistakes, AFileOfAnotherKindIsToldAsThat) {
    write_good();
    folder_.write("lone.toml", good_policy);
    const std::string given_as_config = "p.toml: this is a policy, not a configuration; give it to "
                                        "'homeostat check' without -c, or name it in "
                                        "controller.policies of a configuration\n";
    EXPECT_EQ(run({"check", "-c", "p.toml"}).out, given_as_config);
    EXPECT_EQ(run({"run", "-c", "p.toml"}).errors, given_as_config);
    EXPECT_EQ(run({"check", "-c", "p.test.toml"}).out,
              "p.test.toml: this is a test of policies, not a configuration; 'homeostat test' runs it\n");
    EXPECT_THAT(
        run({"test", "p.toml"}).errors,
        HasSubstr("p.toml: this is a policy, not a test of one; 'homeostat check' judges it; its test is "
                  "p.test.toml\n"));
    EXPECT_THAT(run({"test", "lone.toml"}).errors,
                HasSubstr("'homeostat test --help' shows how to write a test\n"));
    EXPECT_THAT(run({"eval", "1", "--test", controller}).errors,
                HasSubstr("this is a configuration, not a test of policies"));
}

TEST_F(Mistakes, ANameThatAPolicyBesideItDeclaresIsToldWithItsFile) {
    const std::string beside = "it is declared in " + policies + "lab-udp-flood.toml and in " + policies +
                               "udp-flood.toml, one of which must be given too\n";
    const Finished window = run({"check", policies + "maintenance-window.toml"});
    EXPECT_EQ(window.code, 1);
    EXPECT_EQ(window.out, policies +
                              "maintenance-window.toml:29:14: no adaptation is named "
                              "'guard-under-udp-flood'; " +
                              beside);
    const Finished pulses = run({"check", policies + "pulsing-flood.toml"});
    EXPECT_EQ(pulses.code, 1);
    EXPECT_EQ(pulses.out, policies +
                              "pulsing-flood.toml:18:26: 'adaptation' of 'adaptation_active' is never "
                              "\"guard-under-udp-flood\"; " +
                              beside);
    EXPECT_EQ(run({"check", policies + "udp-flood.toml", policies + "maintenance-window.toml"}).code, 0);

    folder_.write("beside.toml", "version = 1\n[[symptom]]\nname = \"calm\"\nraise = 'pps < 1'\n");
    folder_.write("part.toml",
                  "version = 1\n[[adaptation]]\nname = \"a\"\nwhen = \"calm\"\nbudget = \"1/1h\"\n"
                  "set.interface.eth0.xdp.program = \"guard\"\n");
    EXPECT_EQ(run({"check", "part.toml"}).out, "part.toml:4:9: no symptom is named 'calm'; it is declared in "
                                               "beside.toml, which must be given too\n");
    folder_.write("lone.toml",
                  "version = 1\n[[adaptation]]\nname = \"a\"\nwhen = \"floods\"\nbudget = \"1/1h\"\n"
                  "set.interface.eth0.xdp.program = \"guard\"\n");
    EXPECT_EQ(
        run({"check", "lone.toml"}).out,
        "lone.toml:4:9: no symptom is named 'floods'; declare it with [[symptom]], here or in another policy "
        "that is given too\n");
}

TEST_F(Mistakes, ASensorThatIsMissingIsToldWithItsType) {
    const Finished finished = run({"check", "-c", controller, policies + "load-shedding.toml"});
    EXPECT_EQ(finished.code, 1);
    EXPECT_THAT(finished.out,
                HasSubstr("no sensor and no signal provides 'pressure_some_ratio'; declare its sensor in "
                          "the configuration: [[sensor]] with type = \"pressure\"\n"));
}

TEST_F(Mistakes, WhatIsInAPipeIsReadOnceAndJudgedWhole) {
    const auto in_bash = [&](const std::string& command) {
        return run_to_end({"/bin/bash", "-c", command, homeostat(), homeostat()}, {.folder = folder_.path()});
    };
    write_good();
    const Finished good = in_bash("\"$1\" check <(cat p.toml)");
    EXPECT_EQ(good.code, 0) << good.out << good.errors;
    EXPECT_THAT(good.out, AllOf(HasSubstr("1 file: nothing is wrong"), HasSubstr("\n{{iface}}: ")));
    folder_.write("p.toml", "version = 1\n[[symptom]]\nname = \"flood\"\nraise = 'pps >'\n");
    EXPECT_THAT(in_bash("\"$1\" check <(cat p.toml)").out, HasSubstr(":4:15: the expression ends too early"));
    const Finished config =
        in_bash("\"$1\" check -c <(sed 's|policies/|" + policies + "|' " + controller + ")");
    EXPECT_EQ(config.code, 0) << config.out << config.errors;
    EXPECT_THAT(config.out, HasSubstr("change-me ({{iface}}): at most 12"));
}

} // namespace

} // namespace homeostat::system_test

// The commands that ask, and a controller on real packets that answers.

#include "tests/system/controller.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>

#include <filesystem>

namespace homeostat::system_test {

namespace {

namespace json = boost::json;
using testing::HasSubstr;

class Asking : public InLab {
  protected:
    Config config() const { return {.objects = "control = \"" + socket() + "\"\n"}; }
    std::string socket() const { return (folder_.path() / "c.sock").string(); }

    Finished ask(std::vector<std::string> words) const {
        words.insert(words.begin(), homeostat());
        words.insert(words.end(), {"--socket", socket()});
        return run_to_end(std::move(words));
    }
    std::string answer(std::vector<std::string> words) const {
        const Finished finished = ask(std::move(words));
        EXPECT_EQ(finished.code, 0) << finished.errors;
        return finished.out;
    }
    json::object object(std::vector<std::string> words) const {
        words.emplace_back("--json");
        return json::parse(answer(std::move(words))).as_object();
    }
};

TEST_F(Asking, AQuietControllerTellsWhyItDoesNothing) {
    Controller controller = start_attached(config(), {});
    controller.await(signals_have({}), "signals");
    EXPECT_THAT(answer({"whynot", "guard-under-udp-flood"}),
                HasSubstr("guard-under-udp-flood is not wanted: when = \"udp_flood\" does not hold\n"));
    EXPECT_THAT(answer({"symptoms"}), HasSubstr("udp_flood"));
    EXPECT_EQ(answer({"eval", "1 + 1"}), "2\n");
    EXPECT_EQ(object({"eval", "sum(link_present)"}).at("type"), "vector");
    EXPECT_THAT(answer({"signals"}), HasSubstr("counted{iface=\"lab0\",proto=\"udp\"}"));
    EXPECT_THAT(answer({"decisions", "--only", "outcome"}), HasSubstr("counter runs as program"));
    const Finished unknown = ask({"whynot", "udp_flod"});
    EXPECT_EQ(unknown.code, 1);
    EXPECT_EQ(unknown.errors,
              "homeostat whynot: there is no adaptation or symptom 'udp_flod'; did you mean 'udp_flood'?\n");
    const Finished mistake = ask({"eval", "sum("});
    EXPECT_EQ(mistake.code, 1);
    EXPECT_THAT(mistake.errors, HasSubstr("homeostat eval: column 5: "));
    EXPECT_EQ(controller.stop(), 0);
    EXPECT_FALSE(std::filesystem::exists(socket())) << "the file is removed at the end";
}

TEST_F(Asking, AControllerUnderAFloodTellsWhatItDidAndWhy) {
    Controller controller = start_attached(config(), {.min_hold = "1h"});
    const lab::Traffic udp = flood();
    controller.await(outcome_with("guard"), "the guard");
    const std::string why = answer({"explain", "guard-under-udp-flood"});
    EXPECT_THAT(why, HasSubstr("apply guard-under-udp-flood{iface=\"lab0\",proto=\"udp\"}"));
    EXPECT_THAT(why, HasSubstr("udp_flood{iface=\"lab0\",proto=\"udp\"} was raised"));
    EXPECT_THAT(why, HasSubstr("  sets lab0 xdp.program = guard\n"));
    EXPECT_THAT(why, HasSubstr(": guard runs as program " + std::to_string(attached_id()) + " in mode drv"));
    EXPECT_THAT(answer({"whynot", "guard-under-udp-flood"}),
                HasSubstr("guard-under-udp-flood{iface=\"lab0\",proto=\"udp\"} is active since "));
    const json::object whynot = object({"whynot", "guard-under-udp-flood"});
    EXPECT_EQ(whynot.at("instances").at(0).at("blocker"), "");
    const json::object decisions = object({"decisions", "--only", "receipt", "--since", "1h"});
    EXPECT_EQ(decisions.at("decisions").as_array().size(), 1U);
    EXPECT_THAT(answer({"symptoms", "udp_flood{iface='lab0'}"}), HasSubstr("raised"));
}

TEST_F(Asking, ASecondControllerDoesNotTakeTheSocketOfTheFirst) {
    Controller controller = start_attached(config(), {});
    const Finished second =
        run_to_end({homeostat(), "run", "-c", files(config(), {}), "--shadow"}, {.in = &host()});
    EXPECT_EQ(second.code, 1);
    EXPECT_THAT(second.errors, HasSubstr("another controller answers on it"));
    EXPECT_EQ(answer({"eval", "1"}), "1\n");
}

TEST(AskingAPolicyTest, AnswersAsACaseStandsAtATime) {
    const Folder folder;
    folder.write("policy.toml",
                 "version = 1\n[[symptom]]\nname = \"flood\"\nraise = \"pps > 100\"\nfor = \"3s\"\n"
                 "[[adaptation]]\nname = \"guard\"\nwhen = \"flood\"\n"
                 "set.interface.\"{{iface}}\".xdp.program = \"guard\"\n");
    const std::string test = folder.write(
        "test.toml", "version = 1\npolicies = [\"policy.toml\"]\n[[interface]]\nname = \"eth0\"\n"
                     "xdp.program = \"counter\"\n[[test]]\nname = \"A flood is guarded against\"\n"
                     "[[test.series]]\nseries = 'pps{iface=\"eth0\"}'\nvalues = \"10 200x8\"\n"
                     "[[test.expect]]\nat = \"8s\"\nactive = [\"guard\"]\n");
    const auto answer = [&](std::vector<std::string> words) {
        words.insert(words.begin(), homeostat());
        words.insert(words.end(), {"--test", test});
        const Finished finished = run_to_end(std::move(words));
        EXPECT_EQ(finished.code, 0) << finished.errors;
        return finished.out;
    };
    EXPECT_THAT(answer({"whynot", "guard", "--at", "2s"}), HasSubstr("raise must hold for 3s, 2s left\n"));
    EXPECT_THAT(answer({"whynot", "guard"}), HasSubstr("guard{iface=\"eth0\"} is active since "));
    EXPECT_EQ(answer({"eval", "pps", "--at", "0s"}), "pps{iface=\"eth0\"} = 10\n");
    EXPECT_THAT(answer({"explain", "guard"}), HasSubstr("guard runs as program"));
    const Finished unknown =
        run_to_end({homeostat(), "eval", "1", "--test", test, "--case", "A flood is guarded againts"});
    EXPECT_EQ(unknown.code, 1);
    EXPECT_THAT(unknown.errors, HasSubstr("did you mean 'A flood is guarded against'?"));
}

TEST(AskingNobody, SaysThatNoControllerIsThere) {
    const Finished finished = run_to_end({homeostat(), "symptoms", "--socket", "/no/such/socket"});
    EXPECT_EQ(finished.code, 1);
    EXPECT_EQ(finished.errors, "homeostat symptoms: connect to /no/such/socket: No such file or directory\n");
}

TEST(AskingNobody, ExplainsItselfAndRefusesWhatItDoesNotUnderstand) {
    for (const std::string command : {"eval", "explain", "whynot", "symptoms", "decisions", "signals"}) {
        const Finished help = run_to_end({homeostat(), command, "--help"});
        EXPECT_EQ(help.code, 0);
        EXPECT_THAT(help.out, HasSubstr("Examples:\n  homeostat " + command));
        EXPECT_EQ(run_to_end({homeostat(), command, "a", "b"}).code, 2);
        EXPECT_EQ(run_to_end({homeostat(), command, "a", "--case", "b"}).code, 2);
    }
    EXPECT_EQ(run_to_end({homeostat(), "eval"}).code, 2);
    for (const std::string newest : {"-1", "x", "", "1x", "1000001"})
        EXPECT_EQ(run_to_end({homeostat(), "decisions", "--newest=" + newest}).code, 2) << newest;
    const Finished only = run_to_end({homeostat(), "decisions", "--only", "foo"});
    EXPECT_EQ(only.code, 2);
    EXPECT_THAT(only.errors,
                HasSubstr("there is no kind of decisions 'foo'; there are:\n  symptom\n  receipt\n"));
    EXPECT_EQ(run_to_end({homeostat(), "eval", "1", "--at", "noon"}).code, 2);
}

} // namespace

} // namespace homeostat::system_test

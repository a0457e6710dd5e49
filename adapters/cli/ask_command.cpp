// The commands that ask: eval, explain, whynot, symptoms, decisions, signals.
#include "adapters/cli/command.hpp"
#include "adapters/cli/mistakes.hpp"
#include "adapters/cli/moment.hpp"
#include "adapters/cli/options.hpp"
#include "adapters/cli/question_json.hpp"
#include "adapters/cli/test_source.hpp"
#include "adapters/control/client.hpp"
#include "adapters/control/paths.hpp"
#include "knowledge/enum_table.hpp"
#include "knowledge/text.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <iostream>

namespace homeostat::cli {

namespace po = boost::program_options;

namespace {

struct AskCommand {
    Question::Kind kind;
    std::string_view usage;
    std::string_view examples;
    bool needs_text; // else it may be left out
};

constexpr std::array<AskCommand, 6> commands{{
    {Question::Kind::eval,
     R"(Usage: homeostat eval EXPR [OPTION]...

The value of a PromQL expression, as the controller's policies would see it at its last tick. A range vector such as
pps[10s] shows its samples. With --at, at an earlier time, as far back as the store reaches: it keeps of each series
what the policies read. Where that is too short, a note says so.
)",
     R"(  homeostat eval 'rate(xdp_packets_total{proto="udp"}[1s])'
  homeostat eval 'symptom_raised == 1' --at 30s
)",
     true},
    {Question::Kind::explain,
     R"(Usage: homeostat explain ID|NAME [OPTION]...

Why something was decided, in plain words: a receipt by its id, the newest receipt of an adaptation, or the newest
change of a symptom. With braces, as in NAME{iface="eth0"}, the newest of each instance whose labels match; NAME{}
is every instance. A receipt tells what its symptoms saw, each gate, what it lost to others, what it set, and how the
change ended.
)",
     R"(  homeostat explain 17
  homeostat explain guard-under-udp-flood
  homeostat explain 'udp_flood{iface="eth0"}'
)",
     true},
    {Question::Kind::whynot,
     R"(Usage: homeostat whynot NAME [OPTION]...

What stands first in the way of an adaptation, or of a symptom: the symptom that is not raised and the values that it
saw, a closed gate, another overlay that won, or the datapath. NAME may have labels, as in NAME{iface="eth0"}. With
--at, what stood in the way then, as far back as the controller remembers its decisions.
)",
     R"(  homeostat whynot guard-under-udp-flood
  homeostat whynot udp_flood --at 2026-05-20T12:00:00Z
)",
     true},
    {Question::Kind::symptoms,
     R"(Usage: homeostat symptoms [NAME] [OPTION]...

Every instance of every symptom: its state, since when, and the value with which raise last held.
)",
     "  homeostat symptoms\n  homeostat symptoms 'udp_flood{iface=\"eth0\"}'\n", false},
    {Question::Kind::decisions,
     R"(Usage: homeostat decisions [NAME] [OPTION]...

The newest decisions, oldest first: changes of symptoms, receipts, transactions, outcomes and messages. NAME is that
of an adaptation or a symptom.
)",
     "  homeostat decisions --newest 50\n  homeostat decisions guard-under-udp-flood --only receipt --since "
     "10m\n",
     false},
    {Question::Kind::signals,
     R"(Usage: homeostat signals [NAME] [OPTION]...

The newest value of every signal's series.
)",
     "  homeostat signals\n", false},
}};

constexpr std::string_view sources = R"(
It asks the controller that runs on this host, through its control socket; the files in /run/homeostat are tried, and
--socket names another one or one of several. Only root and the controller's own user may ask. With --test it asks a
case of a policy test instead, played up to the time --at (such as 30s, from the case's beginning).

Exit code: 0 it was answered, 1 it was not (no controller, an unknown name, a mistake in an expression or in a file), 2
the command was not understood. With --json that is told as an object too, with the mistakes and their places.
)";

struct Source {
    std::string socket;
    std::string test;
    std::string test_case;
    std::optional<Duration> until; // of the case
};

Result<std::string> find_socket() {
    const auto answering = control::answering_sockets(std::string(control::default_folder));
    if (answering.size() == 1) return answering.front();
    if (answering.empty())
        return failure("no controller answers in " + std::string(control::default_folder) +
                       "; start one with 'homeostat run', or name its socket with --socket");
    return failure("several controllers answer; choose one with --socket:" + one_a_line(answering));
}

// Where files or the expression have mistakes, these are in `diagnostics` too.
Result<boost::json::object> answer_from(const Source& source, const Question& question,
                                        Diagnostics& diagnostics) {
    if (!source.test.empty()) {
        const auto played = play_case(source.test, source.test_case, source.until, diagnostics);
        if (!played) return std::unexpected(played.error());
        auto answer = ask(played->state, question);
        if (!answer) return std::unexpected(answer.error());
        if (!played->note.empty()) answer->notes.push_back(played->note);
        return answer_json(*answer);
    }
    const auto socket = source.socket.empty() ? find_socket() : source.socket;
    if (!socket) return std::unexpected(socket.error());
    return control::ask(*socket, question_json(question));
}

// What no controller and no case needs to be asked about.
std::string mistake_of_text(const Question& question, Diagnostics& diagnostics) {
    if (question.kind == Question::Kind::eval) {
        diagnostics = mistakes_of(question.text);
        if (!diagnostics.empty()) return mistakes_text(question.text);
    }
    for (std::string_view rest = question.text; !rest.empty(); rest.remove_prefix(utf8_length(rest)))
        if (utf8_length(rest) == 0) return "'" + question.text + "' is no UTF-8";
    return "";
}

void add_options(const AskCommand& command, CommandLine& line) {
    auto add = line.options.add_options();
    const auto text = [] { return po::value<std::string>(); };
    add("socket", text()->value_name("PATH"), "the controller's control socket");
    add("test", text()->value_name("FILE"), "ask a case of this policy test");
    add("case", text()->value_name("NAME"), "which one, where there are several");
    add("at", text()->value_name("TIME"),
        "a time such as 2026-05-20T12:00:00Z, or how long ago, such as 30s; with --test, how far to play");
    if (command.kind == Question::Kind::decisions) {
        add("newest", text()->value_name("N")->default_value("20"), "at most so many");
        add("only", text()->value_name("KIND"), "symptom, receipt, transaction, outcome or message");
        add("since", text()->value_name("TIME"), "none before this time; written as for --at");
    }
    add("json", "print the answer as one JSON object");
}

// Reads a time if it was given; a usage mistake says what.
std::string read_moment(const po::variables_map& values, const char* option, std::optional<Moment>& into) {
    if (!values.contains(option)) return "";
    const auto moment = parse_moment(values[option].as<std::string>());
    if (!moment) return "--" + std::string(option) + ": " + moment.error().what;
    into = *moment;
    return "";
}

// Which decisions, and how many of them.
std::string read_limits(const po::variables_map& values, Question& question) {
    if (values.contains("only")) question.only = values["only"].as<std::string>();
    const auto kinds = decision_kinds();
    if (!question.only.empty() && std::ranges::find(kinds, question.only) == kinds.end())
        return "--only: there is no kind of decisions '" + question.only +
               "'; there are:" + one_a_line({kinds.begin(), kinds.end()});
    const auto& text = values["newest"].as<std::string>();
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, question.newest);
    const bool is_number = error == std::errc{} && stop == end && question.newest <= newest_max;
    return is_number ? "" : "--newest: expected a whole number from 0 to " + std::to_string(newest_max);
}

// What is wrong with the arguments; "" where nothing is.
std::string read_question(const AskCommand& command, const po::variables_map& values, Source& source,
                          Question& question) {
    question.kind = command.kind;
    const auto words =
        values.contains("text") ? values["text"].as<std::vector<std::string>>() : std::vector<std::string>();
    if (words.size() > 1 || (words.empty() && command.needs_text))
        return command.needs_text ? "expected one argument" : "expected at most one argument";
    if (!words.empty()) question.text = words.front();
    const auto text = [&](const char* option) {
        return values.contains(option) ? values[option].as<std::string>() : "";
    };
    source = {.socket = text("socket"), .test = text("test"), .test_case = text("case"), .until = {}};
    if (source.test.empty() && !source.test_case.empty()) return "--case goes with --test";
    if (!source.test.empty() && !source.socket.empty()) return "expected --socket or --test, not both";
    std::optional<Moment> at;
    if (std::string mistake = read_moment(values, "at", at); !mistake.empty()) return mistake;
    if (!source.test.empty() && at) {
        if (!std::holds_alternative<Duration>(*at)) return "with --test, --at is a time such as 30s";
        source.until = std::get<Duration>(*at);
    } else if (at && !command.needs_text) {
        return "--at goes with --test here; the controller knows only its present " +
               std::string(to_text(command.kind));
    } else {
        question.at = at;
    }
    if (command.kind != Question::Kind::decisions) return "";
    if (std::string mistake = read_limits(values, question); !mistake.empty()) return mistake;
    return read_moment(values, "since", question.since);
}

int ask_command(const AskCommand& command, const std::vector<std::string>& arguments) {
    const std::string notes = "Examples:\n" + std::string(command.examples) + std::string(sources);
    CommandLine line{
        .name = to_text(command.kind), .usage = command.usage, .notes = notes, .positional = "text"};
    add_options(command, line);
    const auto parsed = parse_options(line, arguments);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const auto& values = std::get<po::variables_map>(parsed);
    const Teller teller{.command = line.name, .json = values.contains("json")};
    Source source;
    Question question;
    if (const std::string mistake = read_question(command, values, source, question); !mistake.empty())
        return misuse(line.name, mistake);
    Diagnostics diagnostics;
    if (const std::string mistake = mistake_of_text(question, diagnostics); !mistake.empty())
        return refuse(teller, mistake, teller.json ? diagnostics : Diagnostics{});
    auto answer = answer_from(source, question, diagnostics);
    if (!answer) return refuse(teller, answer.error().what, diagnostics);
    if (!teller.json) std::cerr << to_lines(diagnostics);
    const boost::json::value* text = answer->if_contains("text");
    if (!teller.json && (text == nullptr || !text->is_string()))
        return refuse(teller, "the answer has no text in it; try --json");
    const std::string words = text != nullptr && text->is_string() ? std::string(text->as_string()) : "";
    answer->erase("text");
    std::cout << (teller.json ? boost::json::serialize(*answer) + "\n" : words);
    return exit_ok;
}

template <Question::Kind kind> int ask_as(const std::vector<std::string>& arguments) {
    static_assert(has_row_for_each(commands, &AskCommand::kind, Question::Kind::signals));
    return ask_command(commands[static_cast<std::size_t>(kind)], arguments);
}

} // namespace

int eval_command(const std::vector<std::string>& arguments) {
    return ask_as<Question::Kind::eval>(arguments);
}
int explain_command(const std::vector<std::string>& arguments) {
    return ask_as<Question::Kind::explain>(arguments);
}
int whynot_command(const std::vector<std::string>& arguments) {
    return ask_as<Question::Kind::whynot>(arguments);
}
int symptoms_command(const std::vector<std::string>& arguments) {
    return ask_as<Question::Kind::symptoms>(arguments);
}
int decisions_command(const std::vector<std::string>& arguments) {
    return ask_as<Question::Kind::decisions>(arguments);
}
int signals_command(const std::vector<std::string>& arguments) {
    return ask_as<Question::Kind::signals>(arguments);
}

} // namespace homeostat::cli

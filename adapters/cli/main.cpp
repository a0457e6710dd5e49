#include "adapters/cli/command.hpp"
#include "knowledge/error.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <iostream>

namespace homeostat::cli {

namespace {

constexpr std::array<Command, 18> all_commands{
    {{"run", "watch interfaces, decide by policies, change the datapath", run_command},
     {"plan", "what run would do now, and which modes are possible", plan_command},
     {"status", "what is attached to interfaces, by whom and since when", status_command},
     {"attach", "attach a program to an interface", attach_command},
     {"replace", "put another program in its place, at once", replace_command},
     {"switch", "bring it into another mode", switch_command},
     {"detach", "undo what was attached, on some interfaces or all", detach_command},
     {"gc", "remove what is left behind and nothing needs", gc_command},
     {"load", "try whether the kernel takes an object, attach nothing", load_command},
     {"check", "say what is wrong in configurations and policies", check_command},
     {"test", "run unit tests of policies", test_command},
     {"lab", "show a controller at work in a private network, on real packets", lab_command},
     {"eval", "the value of an expression in a running controller", eval_command},
     {"explain", "why something was decided", explain_command},
     {"whynot", "what stands in the way of an adaptation or a symptom", whynot_command},
     {"symptoms", "the state of every symptom", symptoms_command},
     {"decisions", "what was decided lately", decisions_command},
     {"signals", "the values of all signals", signals_command}}};

constexpr std::string_view introduction =
    R"(homeostat watches the network through eBPF, decides by policies that you wrote, and changes what is
attached to your interfaces.

Usage: homeostat COMMAND [OPTION]...

Commands:
)";

constexpr std::string_view closing = R"(
'homeostat COMMAND --help' explains a command; 'homeostat --version' tells the version.

Exit codes, of every command:
  0  all is well
  1  a finding or a failure: also a file that has mistakes or cannot be read
  2  the command was not understood: an unknown command, a wrong option

To begin with:  sudo homeostat lab
                homeostat check controller.toml
                sudo homeostat run -c controller.toml --shadow
)";

void print_help(std::ostream& out) {
    out << introduction;
    for (const Command& command : all_commands) {
        std::string name(command.name);
        name.resize(10, ' ');
        out << "  " << name << command.summary << "\n";
    }
    out << closing;
}

int unknown(const std::string& word) {
    std::vector<std::string> names;
    for (const Command& command : all_commands) names.emplace_back(command.name);
    const std::string meant = nearest(word, names);
    std::cerr << "homeostat: there is no command '" << word << "'"
              << (meant.empty() ? "" : "; did you mean '" + meant + "'?") << "\nTry 'homeostat --help'.\n";
    return exit_usage;
}

int dispatch(const std::vector<std::string>& arguments) {
    if (arguments.empty()) {
        print_help(std::cerr);
        return exit_usage;
    }
    const std::string& word = arguments.front();
    if (word == "--help" || word == "-h" || word == "help") {
        print_help(std::cout);
        return exit_ok;
    }
    if (word == "--version" || word == "-V") {
        std::cout << "homeostat " << HOMEOSTAT_VERSION << "\n";
        return exit_ok;
    }
    const auto command = std::ranges::find(all_commands, word, &Command::name);
    if (command == all_commands.end()) return unknown(word);
    return command->run({arguments.begin() + 1, arguments.end()});
}

// What was to be printed and could not be is a failure too.
int written(int code) {
    std::cout.flush();
    if (std::cout && std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
    std::fputs("homeostat: standard output cannot be written\n", stderr);
    return code == exit_ok ? exit_failure : code;
}

} // namespace

} // namespace homeostat::cli

int main(int argc, char** argv) {
    try {
        const std::vector<std::string> arguments(argv + 1, argv + argc);
        const int code = homeostat::cli::dispatch(arguments);
        // A controller has told it when it happened, and went on.
        const bool is_controller = !arguments.empty() && arguments.front() == "run";
        return is_controller ? code : homeostat::cli::written(code);
    } catch (const std::exception& error) {
        // Only what nobody expects comes here, such as no memory.
        std::fprintf(stderr, "homeostat: %s\n", error.what());
        return homeostat::cli::exit_failure;
    }
}

// The commands of the command line: what each is called, and how each is run.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::cli {

// 0: all is well; 1: a finding or a failure, also a file that has mistakes or cannot be read; 2: the command
// was not understood.
enum ExitCode { exit_ok = 0, exit_failure = 1, exit_usage = 2 };

struct Command {
    std::string_view name;
    std::string_view summary;                              // one line for the list of commands
    int (*run)(const std::vector<std::string>& arguments); // without the command's name
};

int decisions_command(const std::vector<std::string>& arguments);
int eval_command(const std::vector<std::string>& arguments);
int explain_command(const std::vector<std::string>& arguments);
int signals_command(const std::vector<std::string>& arguments);
int status_command(const std::vector<std::string>& arguments);
int symptoms_command(const std::vector<std::string>& arguments);
int whynot_command(const std::vector<std::string>& arguments);
int attach_command(const std::vector<std::string>& arguments);
int replace_command(const std::vector<std::string>& arguments);
int switch_command(const std::vector<std::string>& arguments);
int gc_command(const std::vector<std::string>& arguments);
int plan_command(const std::vector<std::string>& arguments);
int check_command(const std::vector<std::string>& arguments);
int lab_command(const std::vector<std::string>& arguments);
int load_command(const std::vector<std::string>& arguments);
int detach_command(const std::vector<std::string>& arguments);
int run_command(const std::vector<std::string>& arguments);
int test_command(const std::vector<std::string>& arguments);

} // namespace homeostat::cli

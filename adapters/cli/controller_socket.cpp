#include "adapters/cli/controller_socket.hpp"

#include "adapters/cli/command.hpp"
#include "adapters/cli/file_texts.hpp"
#include "adapters/control/client.hpp"
#include "adapters/control/paths.hpp"
#include "engine/config.hpp"

#include <boost/json.hpp>
#include <boost/program_options/value_semantic.hpp>

#include <iostream>

namespace homeostat::cli {

namespace po = boost::program_options;
namespace json = boost::json;

namespace {

// The programs are loaded already; a change may wait for the one before it.
constexpr std::chrono::seconds patience{30};

Result<std::string> socket_of_config(const std::string& file) {
    Diagnostics diagnostics;
    FileTexts texts;
    const std::string* text = read_as(texts, file, FileKind::config, diagnostics);
    const auto config = text != nullptr ? read_config(*text, file, diagnostics) : std::nullopt;
    if (!config || has_errors(diagnostics)) return failure(to_lines(diagnostics));
    if (config->control == no_control)
        return failure(file +
                       " says control = \"none\": its controller cannot be asked; stop it, or let it have "
                       "a control socket");
    return config->control.value_or(control::default_path(file));
}

Result<std::string> socket_of(const po::variables_map& values, const std::string& instance) {
    if (values.contains("socket")) return values["socket"].as<std::string>();
    if (values.contains("config")) return socket_of_config(values["config"].as<std::string>());
    const auto answering = control::answering_sockets(std::string(control::default_folder));
    if (answering.size() == 1) return answering.front();
    return failure("a process owns instance " + instance + ", and " +
                   (answering.empty() ? "no controller answers" : "several controllers answer") + " in " +
                   std::string(control::default_folder) +
                   "; name the control socket of the one that is meant with --socket, or its configuration "
                   "with -c");
}

} // namespace

void add_socket_option(po::options_description& options) {
    options.add_options()("socket", po::value<std::string>()->value_name("PATH"),
                          "the control socket of the controller, where one runs");
}

bool is_owned(const bpf::InstancePlace& place) {
    const auto records = bpf::read_records(place);
    return records && !records->owner.empty();
}

int tell_change(const Teller& teller, const json::object& change) {
    const auto text = [&](std::string_view name) {
        const json::value* value = change.if_contains(name);
        return value != nullptr && value->is_string() ? std::string(value->as_string()) : std::string();
    };
    const json::value* ok = change.if_contains("ok");
    const bool is_ok = ok != nullptr && *ok == true;
    if (teller.json) {
        std::cout << change << "\n";
        return is_ok ? exit_ok : exit_failure;
    }
    if (const json::value* notes = change.if_contains("notes"); notes != nullptr && notes->is_array())
        for (const json::value& note : notes->as_array())
            if (note.is_string()) std::cout << std::string(note.as_string()) << "\n";
    if (!is_ok) return refuse(teller, text("error"));
    if (const json::value* id = change.if_contains("id"))
        std::cout << text("interface") << ": " << text("program") << " (id " << json::serialize(*id)
                  << ") is attached in mode " << text("mode") << "\n";
    else
        std::cout << text("interface") << ": nothing is attached\n";
    return exit_ok;
}

int ask_controller(const Teller& teller, const ChangeRequest& request, const po::variables_map& values) {
    const auto socket = socket_of(values, request.instance);
    if (!socket) return refuse(teller, socket.error().what);
    const auto answer = control::ask(*socket, to_json(request), patience);
    return answer ? tell_change(teller, *answer) : refuse(teller, answer.error().what);
}

} // namespace homeostat::cli

#include "adapters/cli/place.hpp"

#include "adapters/cli/file_texts.hpp"

#include <boost/program_options/value_semantic.hpp>

#include <string>

namespace homeostat::cli {

namespace po = boost::program_options;

namespace {

std::optional<bpf::InstancePlace> place_in(const std::string& file, Diagnostics& diagnostics) {
    FileTexts texts;
    const std::string* text = read_as(texts, file, FileKind::config, diagnostics);
    if (text == nullptr) return std::nullopt;
    const auto config = read_config(*text, file, diagnostics);
    return config && !has_errors(diagnostics) ? std::optional(place_of(*config)) : std::nullopt;
}

} // namespace

bpf::InstancePlace place_of(const ControllerConfig& config) {
    return {.name = config.instance, .bpffs = config.bpffs, .state = config.state_folder};
}

void add_place_options(po::options_description& options) {
    options.add_options()("config,c", po::value<std::string>()->value_name("FILE"),
                          "the controller's configuration")(
        "instance", po::value<std::string>()->value_name("NAME"),
        "the controller's instance, instead of the configuration's controller.instance");
}

std::optional<bpf::InstancePlace> place_of(const po::variables_map& values, Diagnostics& diagnostics) {
    std::optional<bpf::InstancePlace> place = bpf::InstancePlace{};
    if (values.contains("config")) place = place_in(values["config"].as<std::string>(), diagnostics);
    if (place && values.contains("instance")) place->name = values["instance"].as<std::string>();
    return place;
}

std::string instance_option_mistake(const po::variables_map& values) {
    return values.contains("instance") ? instance_name_mistake(values["instance"].as<std::string>()) : "";
}

} // namespace homeostat::cli

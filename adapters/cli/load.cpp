#include "adapters/cli/load.hpp"

#include "adapters/bpf/object_layout.hpp"
#include "policies/toml_reader.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

namespace homeostat::cli {

namespace fs = std::filesystem;

namespace {

constexpr std::uintmax_t file_size_max = 16U << 20U;

// Where objects are found if the configuration names no folder: beside the program as it was built, and
// where it was installed to.
std::vector<std::string> default_object_folders() {
    std::error_code error;
    const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
    return {(program / "bpf").string(), (program / "../lib/homeostat/bpf").lexically_normal().string()};
}

fs::path beside(const std::string& file, const std::string& path) {
    return fs::path(path).is_absolute() ? fs::path(path) : fs::path(file).parent_path() / path;
}

std::vector<std::string> object_folders(const ControllerConfig& config) {
    if (config.object_folders.empty()) return default_object_folders();
    std::vector<std::string> folders;
    for (const std::string& folder : config.object_folders)
        folders.push_back(beside(config.file, folder).string());
    return folders;
}

std::optional<bpf::ProgramSource> find_program(const ControllerConfig& config, const ProgramSpec& spec,
                                               Diagnostics& diagnostics) {
    const auto mistake = [&](Position at, std::string what, std::string expected) {
        diagnostics.push_back(
            {.file = config.file, .at = at, .what = std::move(what), .expected = std::move(expected)});
    };
    if (spec.object.empty()) return std::nullopt; // that was told already
    std::string folders;
    for (const std::string& folder : object_folders(config)) {
        const fs::path path = fs::path(folder) / spec.object;
        folders += (folders.empty() ? "" : " or ") + folder;
        std::error_code error;
        if (!fs::exists(path, error)) continue;
        auto layout = bpf::read_layout(path.string());
        if (!layout) {
            mistake(spec.object_at, layout.error().what, "");
            return std::nullopt;
        }
        const auto& functions = layout->programs;
        if (spec.function.empty() ? functions.size() != 1
                                  : std::ranges::find(functions, spec.function) == functions.end()) {
            std::string list;
            for (const std::string& function : functions) list += (list.empty() ? "" : ", ") + function;
            mistake(spec.at,
                    spec.function.empty()
                        ? "'" + spec.object + "' has several XDP programs"
                        : "'" + spec.object + "' has no XDP program '" + spec.function + "'",
                    "expected function = one of: " + list);
            return std::nullopt;
        }
        return bpf::ProgramSource{.name = spec.name,
                                  .path = path.string(),
                                  .function = spec.function,
                                  .twin = spec.twin,
                                  .layout = std::make_shared<const ObjectLayout>(std::move(*layout))};
    }
    mistake(spec.object_at, "there is no object '" + spec.object + "'", "expected it in " + folders);
    return std::nullopt;
}

} // namespace

Result<std::string> read_file(const std::string& path) {
    std::error_code error;
    const auto status = fs::status(path, error);
    if (fs::is_directory(status)) return failure(path + ": is a folder; expected a file");
    std::ifstream file(path, std::ios::binary);
    if (!file) return failure((path.empty() ? "an empty file name" : path) + ": " + std::strerror(errno));
    // What is no regular file may be without end.
    std::string text(file_size_max + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    text.shrink_to_fit();
    if (text.size() > file_size_max) return failure(path + ": is larger than 16 MiB");
    return text;
}

bool is_config(std::string_view text) {
    Diagnostics ignored;
    const auto toml = TomlFile::parse(text, "", ignored);
    if (!toml) return false;
    const TomlTable root = toml->root();
    constexpr std::array<std::string_view, 5> tables{"controller", "limits", "program", "interface",
                                                     "sensor"};
    return std::ranges::any_of(tables, [&](std::string_view table) { return root.has(table); });
}

std::optional<LoadedConfig> load_config(const std::string& file,
                                        const std::vector<std::string>& more_policies,
                                        std::uint64_t generation, Diagnostics& diagnostics) {
    const auto text = read_file(file);
    if (!text) {
        diagnostics.push_back(
            {.file = file, .at = {}, .what = text.error().what.substr(file.size() + 2), .expected = {}});
        return std::nullopt;
    }
    const std::size_t before = diagnostics.size();
    auto config = read_config(*text, file, diagnostics);
    const bool is_sound = diagnostics.size() == before;
    std::vector<PolicyDocument> documents;
    const auto read_document = [&](const std::string& path, const std::string& named_in, Position at) {
        if (const auto policy = read_file(path))
            documents.push_back(read_policy(*policy, path, diagnostics));
        else
            diagnostics.push_back({.file = named_in, .at = at, .what = policy.error().what, .expected = {}});
    };
    if (config)
        for (const PolicyFile& policy : config->policies)
            read_document(beside(file, policy.path).lexically_normal().string(), file, policy.at);
    const auto is_named = [&](const std::string& path) {
        return config && std::ranges::any_of(config->policies, [&](const PolicyFile& policy) {
                   std::error_code error;
                   return fs::equivalent(beside(file, policy.path), path, error);
               });
    };
    for (const std::string& path : more_policies)
        if (!is_named(path)) read_document(path, path, {});
    if (!config) return std::nullopt;

    LoadedConfig loaded{.config = std::move(*config), .programs = {}, .generation = {}, .review = {}};
    ObjectLayouts layouts;
    for (const ProgramSpec& spec : loaded.config.programs)
        if (auto program = find_program(loaded.config, spec, diagnostics)) {
            layouts.emplace(spec.name, *program->layout);
            loaded.programs.push_back(std::move(*program));
        }
    // Against a configuration that is itself wrong, only what the policies say of each other can be judged.
    if (is_sound)
        loaded.generation = make_generation(loaded.config, std::move(documents), layouts, generation,
                                            diagnostics, &loaded.review);
    else
        review_policies(make_policy_set(std::move(documents), nullptr, diagnostics), diagnostics);
    return loaded;
}

} // namespace homeostat::cli

#include "adapters/cli/load.hpp"

#include "adapters/bpf/objects/object_layout.hpp"
#include "engine/review.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>

namespace homeostat::cli {

namespace fs = std::filesystem;

namespace {

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
        if (spec.function.empty() ? !layout->only_program() : !layout->kind_of(spec.function)) {
            const std::string_view kind = layout->programs.empty() ? "TC" : "XDP";
            std::string list;
            for (const auto* functions : {&layout->programs, &layout->tc_programs})
                for (const std::string& function : *functions) list += (list.empty() ? "" : ", ") + function;
            mistake(spec.at,
                    spec.function.empty()
                        ? "'" + spec.object + "' has several " + std::string(kind) + " programs"
                        : "'" + spec.object + "' has no XDP or TC program '" + spec.function + "'",
                    "expected function = one of: " + list);
            return std::nullopt;
        }
        std::map<std::string, bpf::MergeRule, std::less<>> rules;
        for (const MapMergeSpec& merge : spec.merges)
            rules.emplace(merge.map, merge.rule == MapMergeSpec::Rule::newest
                                         ? bpf::MergeRule{bpf::Merge::newest, merge.stamp}
                                         : bpf::MergeRule{bpf::Merge::sum, ""});
        return bpf::ProgramSource{.name = spec.name,
                                  .path = path.string(),
                                  .function = spec.function,
                                  .twin = spec.twin,
                                  .layout = std::make_shared<const ObjectLayout>(std::move(*layout)),
                                  .merge_rules = std::move(rules),
                                  .resets_maps = spec.resets_maps};
    }
    mistake(spec.object_at, "there is no object '" + spec.object + "'", "expected it in " + folders);
    return std::nullopt;
}

// The program that merges maps: where the configuration's objects are, or else where ours are.
std::string find_map_merger(const ControllerConfig& config) {
    std::vector<std::string> folders = object_folders(config);
    for (std::string& folder : default_object_folders()) folders.push_back(std::move(folder));
    std::error_code error;
    for (const std::string& folder : folders)
        if (const fs::path path = fs::path(folder) / "map_merge.bpf.o"; fs::exists(path, error)) return path;
    return {};
}

// Policies that were read, with their paths.
struct ReadPolicies {
    std::vector<PolicyDocument> documents;
    std::set<std::string> paths;

    void read(const std::string& path, std::string_view text, Diagnostics& diagnostics) {
        documents.push_back(read_policy(text, path, diagnostics));
        paths.insert(path);
    }
};

constexpr std::size_t neighbours_max = 200;              // files of one folder that are looked at
constexpr std::uintmax_t neighbour_size_max = 1U << 20U; // larger ones are left aside

// The other policies in the folders of these.
std::vector<std::string> neighbours(const std::set<std::string>& policies) {
    std::set<fs::path> folders;
    for (const std::string& policy : policies) folders.insert(fs::path(policy).parent_path());
    std::vector<std::string> found;
    for (const fs::path& folder : folders) {
        std::error_code error;
        std::size_t count = 0;
        fs::directory_iterator it(folder.empty() ? "." : folder, error);
        for (; !error && it != fs::directory_iterator() && ++count <= neighbours_max; it.increment(error)) {
            const std::string path = (folder / it->path().filename()).string();
            if (it->path().extension() != ".toml" || policies.contains(path)) continue;
            std::error_code gone;
            if (it->is_regular_file(gone) && it->file_size(gone) <= neighbour_size_max) found.push_back(path);
        }
    }
    std::ranges::sort(found);
    return found;
}

using DeclaredIn = std::map<std::string, std::set<std::string>>; // by a name, the files that declare it

std::map<std::string, std::string> advice_of(const DeclaredIn& declared) {
    std::map<std::string, std::string> advice;
    for (const auto& [name, files] : declared) {
        std::string list;
        for (const std::string& file : files) list += (list.empty() ? "" : " and in ") + file;
        advice[name] = "it is declared in " + list +
                       (files.size() == 1 ? ", which must be given too" : ", one of which must be given too");
    }
    return advice;
}

// What the neighbours of the policies declare.
NamesElsewhere names_beside(FileTexts& texts, const std::set<std::string>& policies) {
    DeclaredIn metrics;
    DeclaredIn symptoms;
    DeclaredIn adaptations;
    for (const std::string& path : neighbours(policies)) {
        const auto& text = texts.read(path);
        if (!text || kind_of(*text) != FileKind::policy) continue;
        Diagnostics ignored;
        const PolicyDocument document = read_policy(*text, path, ignored);
        for (const SignalRule& rule : document.signals) metrics[rule.name.text].insert(path);
        for (const SymptomRule& rule : document.symptoms) symptoms[rule.name.text].insert(path);
        for (const AdaptationRule& rule : document.adaptations) adaptations[rule.name.text].insert(path);
    }
    return {.metrics = advice_of(metrics),
            .symptoms = advice_of(symptoms),
            .adaptations = advice_of(adaptations)};
}

// Judges the policies; only where that finds something wrong, the files beside them are looked at, and it is
// said again with what they declare.
template <class Judge> auto judge_with_neighbours(FileTexts& texts, const ReadPolicies& policies,
                                                  Diagnostics& diagnostics, const Judge& judge) {
    Diagnostics found = diagnostics;
    auto judged = judge(NamesElsewhere{}, found);
    if (has_errors(found)) {
        found = diagnostics;
        judged = judge(names_beside(texts, policies.paths), found);
    }
    diagnostics = std::move(found);
    return judged;
}

PolicyReview review_among_themselves(FileTexts& texts, const ReadPolicies& policies,
                                     Diagnostics& diagnostics) {
    return judge_with_neighbours(
        texts, policies, diagnostics, [&](NamesElsewhere elsewhere, Diagnostics& found) {
            return review_policies(make_policy_set(policies.documents, nullptr, found, std::move(elsewhere)),
                                   found);
        });
}

} // namespace

std::optional<LoadedConfig> load_config(FileTexts& texts, const std::string& file,
                                        const std::vector<std::string>& more_policies,
                                        std::uint64_t generation, Diagnostics& diagnostics) {
    const std::string* text = read_as(texts, file, FileKind::config, diagnostics);
    if (text == nullptr) return std::nullopt;
    const std::size_t before = diagnostics.size();
    auto config = read_config(*text, file, diagnostics);
    const bool is_sound = diagnostics.size() == before;
    ReadPolicies policies;
    const auto read_document = [&](const std::string& path, const std::string& named_in, Position at) {
        if (const auto& policy = texts.read(path))
            policies.read(path, *policy, diagnostics);
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

    LoadedConfig loaded{
        .config = std::move(*config), .programs = {}, .map_merger = {}, .generation = {}, .review = {}};
    loaded.map_merger = find_map_merger(loaded.config);
    ObjectLayouts layouts;
    for (const ProgramSpec& spec : loaded.config.programs)
        if (auto program = find_program(loaded.config, spec, diagnostics)) {
            layouts.emplace(spec.name, *program->layout);
            loaded.programs.push_back(std::move(*program));
        }
    // Against a configuration that is itself wrong, only what the policies say of each other can be judged.
    if (is_sound)
        loaded.generation = judge_with_neighbours(
            texts, policies, diagnostics, [&](NamesElsewhere elsewhere, Diagnostics& found) {
                return make_generation(loaded.config, policies.documents, layouts, generation, found,
                                       &loaded.review, std::move(elsewhere));
            });
    else
        review_among_themselves(texts, policies, diagnostics);
    return loaded;
}

PolicyReview review_alone(FileTexts& texts, const std::vector<std::string>& paths, Diagnostics& diagnostics) {
    ReadPolicies policies;
    for (const std::string& path : paths)
        if (const auto& text = texts.read(path)) policies.read(path, *text, diagnostics);
    return review_among_themselves(texts, policies, diagnostics);
}

} // namespace homeostat::cli

#include "adapters/bpf/objects/trial_load.hpp"

#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/kernel_objects.hpp"
#include "adapters/bpf/libbpf_log.hpp"
#include "adapters/bpf/objects/object_file.hpp"

#include <bpf/bpf.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <map>

namespace homeostat::bpf {

namespace {

std::vector<std::string> functions_of(const bpf_object* object) {
    std::vector<std::string> names;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object) { names.emplace_back(bpf_program__name(program)); }
    return names;
}

Result<std::vector<std::string>> chosen_of(const bpf_object* object, const std::string& path,
                                           const std::string& function) {
    std::vector<std::string> all = functions_of(object);
    if (function.empty()) return all;
    if (std::ranges::find(all, function) != all.end()) return std::vector{function};
    std::string list;
    for (const std::string& one : all) list += (list.empty() ? "" : ", ") + one;
    const std::string meant = nearest(function, all);
    return failure("object " + path + ": no program '" + function + "'; " +
                   (meant.empty() ? "it has " + list : "did you mean '" + meant + "'?"));
}

void choose(bpf_object* object, const std::string& function) {
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object) {
        bpf_program__set_autoload(program, function == bpf_program__name(program));
    }
}

// The programs of an object work on the same maps, as they do when it is loaded at once.
Result<void> share_maps(bpf_object* object, const bpf_object* maps) {
    const bpf_map* made = nullptr;
    bpf_object__for_each_map(made, maps) {
        if (bpf_map__is_internal(made)) continue;
        bpf_map* map = bpf_object__find_map_by_name(object, bpf_map__name(made));
        if (const int error = bpf_map__reuse_fd(map, bpf_map__fd(made)); error != 0)
            return failure(std::string("share map ") + bpf_map__name(made) + ": " + errno_text(error),
                           -error);
    }
    return {};
}

template <class Name> std::string word(Name name) { return name != nullptr ? name : "unknown"; }

std::vector<TrialMap> maps_of(const bpf_object* object) {
    std::vector<TrialMap> maps;
    const bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
        if (bpf_map__is_internal(map)) continue;
        maps.push_back({.name = bpf_map__name(map),
                        .kind = word(libbpf_bpf_map_type_str(bpf_map__type(map))),
                        .id = id_of_map(bpf_map__fd(map)),
                        .key_bytes = bpf_map__key_size(map),
                        .value_bytes = bpf_map__value_size(map),
                        .max_entries = bpf_map__max_entries(map)});
    }
    return maps;
}

std::vector<std::string> names_of_maps(const bpf_object* object, const std::vector<std::uint32_t>& ids) {
    std::vector<std::string> names;
    const bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
        if (bpf_map__fd(map) >= 0 && std::ranges::find(ids, id_of_map(bpf_map__fd(map))) != ids.end())
            names.emplace_back(bpf_map__name(map));
    }
    return names;
}

Result<void> ask_about(const bpf_object* object, int descriptor, TrialProgram& told) {
    const auto info = info_of_program(descriptor);
    if (!info)
        return failure("ask about program " + told.name + ": " + errno_text(info.error().number),
                       info.error().number);
    told.id = info->id;
    std::array<char, 2 * sizeof info->tag + 1> tag{};
    told.tag = sodium_bin2hex(tag.data(), tag.size(), info->tag, sizeof info->tag);
    told.instructions = static_cast<std::uint32_t>(info->xlated_prog_len / sizeof(bpf_insn));
    told.verified_instructions = info->verified_insns;
    const auto ids = map_ids_of(descriptor);
    if (!ids)
        return failure("ask for the maps of program " + told.name + ": " + errno_text(ids.error().number),
                       ids.error().number);
    told.maps = names_of_maps(object, *ids);
    return {};
}

Result<TrialProgram> try_program(const std::string& path, const std::string& function,
                                 const bpf_object* maps) {
    auto object = open_object(path);
    if (!object) return std::unexpected(object.error());
    const bpf_program* program = bpf_object__find_program_by_name(object->get(), function.c_str());
    if (program == nullptr) return failure("object " + path + " changed while it was loaded; try again");
    TrialProgram told;
    told.name = function;
    told.kind = word(libbpf_bpf_prog_type_str(bpf_program__type(program)));
    told.section = bpf_program__section_name(program);
    if (auto shared = share_maps(object->get(), maps); !shared) return std::unexpected(shared.error());
    choose(object->get(), function);
    const LogCapture log;
    if (const int error = bpf_object__load(object->get()); error != 0) {
        told.refusal = why_not_loaded(object->get(), path, function, error, log.text());
        told.log = verifier_log(log.text());
        return told;
    }
    if (auto asked = ask_about(object->get(), bpf_program__fd(program), told); !asked)
        return std::unexpected(asked.error());
    return told;
}

} // namespace

Result<Trial> try_load(const std::string& path, const std::string& function) {
    auto object = open_object(path);
    if (!object) return std::unexpected(object.error());
    const auto chosen = chosen_of(object->get(), path, function);
    if (!chosen) return std::unexpected(chosen.error());
    choose(object->get(), "");
    const LogCapture log;
    if (const int error = bpf_object__load(object->get()); error != 0)
        return failure("object " + path + ": " +
                           why_not_loaded(object->get(), path, "", error, log.text()).what,
                       -error);
    Trial trial{.maps = maps_of(object->get()), .programs = {}};
    for (const std::string& one : *chosen) {
        auto program = try_program(path, one, object->get());
        if (!program) return std::unexpected(program.error());
        trial.programs.push_back(std::move(*program));
    }
    return trial;
}

} // namespace homeostat::bpf

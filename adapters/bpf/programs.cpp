#include "adapters/bpf/programs.hpp"

#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/libbpf_log.hpp"

#include <bpf/bpf.h>

#include <cerrno>

namespace homeostat::bpf {

namespace {

// What two definitions of one map disagree on; "" where they agree.
std::string difference(const bpf_map* a, const bpf_map* b) {
    const auto differ = [](const char* what, std::uint64_t first, std::uint64_t second) {
        return std::string(what) + " " + std::to_string(first) + " and " + std::to_string(second);
    };
    if (bpf_map__type(a) != bpf_map__type(b))
        return std::string("type ") + libbpf_bpf_map_type_str(bpf_map__type(a)) + " and " +
               libbpf_bpf_map_type_str(bpf_map__type(b));
    if (bpf_map__key_size(a) != bpf_map__key_size(b))
        return differ("key size", bpf_map__key_size(a), bpf_map__key_size(b));
    if (bpf_map__value_size(a) != bpf_map__value_size(b))
        return differ("value size", bpf_map__value_size(a), bpf_map__value_size(b));
    if (bpf_map__max_entries(a) != bpf_map__max_entries(b))
        return differ("max_entries", bpf_map__max_entries(a), bpf_map__max_entries(b));
    if (bpf_map__map_flags(a) != bpf_map__map_flags(b))
        return differ("flags", bpf_map__map_flags(a), bpf_map__map_flags(b));
    return {};
}

Result<std::string> function_of(const ProgramSource& source) {
    const auto& functions = source.layout->programs;
    std::string list;
    for (const std::string& function : functions) {
        if (function == source.function) return function;
        list += (list.empty() ? "" : ", ") + function;
    }
    if (source.function.empty() && functions.size() == 1) return functions.front();
    return failure("program " + source.name + ": object " + source.path + " has " +
                   (source.function.empty() ? "several XDP programs; name one of " + list
                                            : "no XDP program " + source.function + "; it has " + list));
}

Result<std::uint32_t> program_id(int descriptor) {
    bpf_prog_info info{};
    std::uint32_t size = sizeof info;
    if (const int error = bpf_obj_get_info_by_fd(descriptor, &info, &size); error != 0)
        return failure("ask for a program's id: " + errno_text(error), -error);
    return info.id;
}

} // namespace

Result<LoadedPrograms> LoadedPrograms::load(const std::vector<ProgramSource>& sources) {
    LoadedPrograms loaded;
    for (const ProgramSource& source : sources) {
        const auto one = loaded.load_one(source);
        if (one) continue;
        if (one.error().number == EPERM && !missing_capabilities().empty())
            return std::unexpected(one.error());
        loaded.rejected_.emplace(source.name, one.error());
    }
    return loaded;
}

Result<void> LoadedPrograms::load_one(const ProgramSource& source) {
    const auto function = function_of(source);
    if (!function) return std::unexpected(function.error());
    const std::string what = "load program " + source.name + " (" + *function + " of " + source.path + "): ";

    const LogCapture log;
    Object object(bpf_object__open_file(source.path.c_str(), nullptr));
    if (!object) return failure(what + errno_text(errno) + ": " + log.last_line(), errno);
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object.get()) {
        bpf_program__set_autoload(program, *function == bpf_program__name(program));
    }
    if (auto shared = share_maps(object.get(), source); !shared) return shared;

    if (const int error = bpf_object__load(object.get()); error != 0) {
        const std::string verdict = log.verifier_verdict();
        return failure(what +
                           (verdict.empty() ? errno_text(error) + ": " + log.last_line()
                                            : "the verifier rejected it:\n" + verdict) +
                           capability_hint(error),
                       -error);
    }
    const int descriptor = bpf_program__fd(bpf_object__find_program_by_name(object.get(), function->c_str()));
    const auto id = program_id(descriptor);
    if (!id) return std::unexpected(id.error());

    programs_.emplace(source.name, Program{descriptor, *id});
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object.get()) {
        if (bpf_map__is_internal(map)) continue;
        const std::string name = bpf_map__name(map);
        maps_.try_emplace(name, Map{bpf_map__fd(map), source.layout, source.layout->map(name), map});
    }
    objects_.push_back(std::move(object));
    return {};
}

Result<void> LoadedPrograms::share_maps(bpf_object* object, const ProgramSource& source) {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
        if (bpf_map__is_internal(map)) continue;
        const std::string name = bpf_map__name(map);
        // An object may ask to be pinned by name; this version pins nothing, and takes over no pins.
        bpf_map__set_pin_path(map, nullptr);
        const auto shared = maps_.find(name);
        if (shared == maps_.end()) continue;
        if (const std::string differs = difference(shared->second.definition, map); !differs.empty())
            return failure("load program " + source.name + ": map " + name +
                           " is defined differently in another program of the interface (" + differs +
                           "); give them one definition or two names");
        if (const int error = bpf_map__reuse_fd(map, shared->second.descriptor); error != 0)
            return failure("load program " + source.name + ": share map " + name + ": " + errno_text(error),
                           -error);
    }
    return {};
}

Result<LoadedPrograms::Program> LoadedPrograms::program(std::string_view name) const {
    if (const auto found = programs_.find(name); found != programs_.end()) return found->second;
    if (const auto why = rejected_.find(name); why != rejected_.end()) return std::unexpected(why->second);
    return failure("no program '" + std::string(name) + "' is declared");
}

std::optional<std::string> LoadedPrograms::name_of(std::uint32_t wanted) const {
    for (const auto& [name, program] : programs_)
        if (program.id == wanted) return name;
    return std::nullopt;
}

Result<LoadedPrograms::Map> LoadedPrograms::map(std::string_view name) const {
    if (const auto found = maps_.find(name); found != maps_.end()) return found->second;
    std::string list;
    for (const auto& [known, map] : maps_) list += (list.empty() ? "" : ", ") + known;
    return failure("no loaded program has a map '" + std::string(name) + "'; there " +
                   (list.empty() ? "is none" : "are " + list));
}

} // namespace homeostat::bpf

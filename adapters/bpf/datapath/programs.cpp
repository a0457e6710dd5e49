#include "adapters/bpf/datapath/programs.hpp"

#include "adapters/bpf/datapath/guard.hpp"
#include "adapters/bpf/datapath/pinned_program.hpp"
#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/kernel_objects.hpp"
#include "adapters/bpf/libbpf_log.hpp"
#include "adapters/bpf/objects/object_file.hpp"
#include "adapters/bpf/objects/refusal.hpp"
#include "adapters/bpf/read_text.hpp"

#include <bpf/bpf.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>

namespace homeostat::bpf {

namespace {

// What two definitions of one map disagree on; "" where they agree.
std::string difference(const MapShape& a, const MapShape& b) {
    const auto differ = [](const char* what, std::uint64_t first, std::uint64_t second) {
        return std::string(what) + " " + std::to_string(first) + " and " + std::to_string(second);
    };
    if (a.type != b.type)
        return std::string("type ") + libbpf_bpf_map_type_str(static_cast<bpf_map_type>(a.type)) + " and " +
               libbpf_bpf_map_type_str(static_cast<bpf_map_type>(b.type));
    if (a.key_size != b.key_size) return differ("key size", a.key_size, b.key_size);
    if (a.value_size != b.value_size) return differ("value size", a.value_size, b.value_size);
    if (a.max_entries != b.max_entries) return differ("max_entries", a.max_entries, b.max_entries);
    if (a.flags != b.flags) return differ("flags", a.flags, b.flags);
    return {};
}

bool is_same_map(int a, int b) {
    const std::uint32_t id = id_of_map(a);
    return id != 0 && id == id_of_map(b);
}

Result<std::string> function_of(const ProgramSource& source) {
    const ObjectLayout& layout = *source.layout;
    if (source.function.empty())
        if (const auto only = layout.only_program()) return *only;
    if (layout.kind_of(source.function)) return source.function;
    std::string list;
    for (const auto* functions : {&layout.programs, &layout.tc_programs})
        for (const std::string& function : *functions) list += (list.empty() ? "" : ", ") + function;
    return failure("program " + source.name + ": object " + source.path + " has " +
                   (source.function.empty() ? "several programs; name one of " + list
                                            : "no program " + source.function + "; it has " + list));
}

// Names what the program is made of; a program's tag does not tell of its .rodata.
std::string version_of(const ProgramSource& source, std::string_view bytes, const std::string& function) {
    constexpr std::size_t shown = 12; // of its hexadecimal digits
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    for (const std::string_view part : {bytes, std::string_view(function), std::string_view(source.twin)}) {
        crypto_hash_sha256_update(&state, reinterpret_cast<const unsigned char*>(part.data()), part.size());
        crypto_hash_sha256_update(&state, reinterpret_cast<const unsigned char*>(""), 1);
    }
    std::array<unsigned char, crypto_hash_sha256_BYTES> digest{};
    crypto_hash_sha256_final(&state, digest.data());
    std::array<char, 2 * crypto_hash_sha256_BYTES + 1> text{};
    sodium_bin2hex(text.data(), text.size(), digest.data(), digest.size());
    return source.name + "@" + std::string(text.data(), shown);
}

} // namespace

MapShape shape_of(const bpf_map* map) {
    return {.type = bpf_map__type(map),
            .key_size = bpf_map__key_size(map),
            .value_size = bpf_map__value_size(map),
            .max_entries = bpf_map__max_entries(map),
            .flags = bpf_map__map_flags(map)};
}

MapShape shape_of(const bpf_map_info& info) {
    return {.type = info.type,
            .key_size = info.key_size,
            .value_size = info.value_size,
            .max_entries = info.max_entries,
            .flags = info.map_flags};
}

Result<ProgramObject> read_program(const ProgramSource& source) {
    const auto function = function_of(source);
    if (!function) return std::unexpected(function.error());
    auto bytes = read_text(source.path);
    if (!bytes) return std::unexpected(bytes.error());
    std::string version = version_of(source, *bytes, *function);
    return ProgramObject{std::move(*bytes), *function, std::move(version)};
}

Result<std::string> version_of(const ProgramSource& source) {
    const auto object = read_program(source);
    if (!object) return std::unexpected(object.error());
    return object->version;
}

Result<LoadedPrograms> LoadedPrograms::load(const std::vector<ProgramSource>& sources,
                                            std::optional<Pinning> pinning) {
    LoadedPrograms loaded;
    loaded.pinning_ = std::move(pinning);
    if (loaded.pinning_) {
        auto definitions = load_map_definitions(loaded.pinning_->definitions);
        if (!definitions) return std::unexpected(definitions.error());
        loaded.definitions_ = std::move(*definitions);
    }
    for (const ProgramSource& source : sources) {
        const auto one = loaded.load_one(source);
        if (one) continue;
        if (one.error().number == EPERM && !missing_capabilities().empty())
            return std::unexpected(one.error());
        loaded.rejected_.emplace(source.name, one.error());
    }
    std::erase_if(loaded.staged_, [&](const auto& one) { return !loaded.maps_.contains(one.first); });
    if (loaded.pinning_ && loaded.pinning_->keeps_attached)
        if (auto taken = loaded.take_up_attached(); !taken) return std::unexpected(taken.error());
    if (loaded.pinning_) loaded.prune_definitions();
    return loaded;
}

Result<void> LoadedPrograms::load_one(const ProgramSource& source) {
    const auto function = function_of(source);
    if (!function) return std::unexpected(function.error());
    const std::string what = "load program " + source.name + " (" + *function + " of " + source.path + "): ";
    const auto bytes = read_text(source.path);
    if (!bytes) return failure(what + bytes.error().what, bytes.error().number);
    const std::string version = version_of(source, *bytes, *function);

    const LogCapture log;
    Object object(bpf_object__open_mem(bytes->data(), bytes->size(), nullptr));
    if (!object) return failure(what + errno_text(errno) + ": " + log.last_line(), errno);
    name_tcx_programs(object.get());
    const auto shared = share_maps(object.get(), source);
    if (!shared) return std::unexpected(shared.error());
    auto program = take_up(version, shared->all);
    auto twin = source.twin.empty() ? Result<int>(-1) : take_up(twin_of(version), shared->all);
    bpf_program* each = nullptr;
    bpf_object__for_each_program(each, object.get()) {
        const std::string_view name = bpf_program__name(each);
        bpf_program__set_autoload(each, (!program && name == *function) || (!twin && name == source.twin));
    }
    if (const int error = bpf_object__load(object.get()); error != 0)
        return not_loaded(what, object.get(), source.path, *function, error, log.text());
    bpf_object* const loaded = object.get();
    objects_.push_back(std::move(object)); // from here on its maps may be shared
    if (auto kept = keep_maps(loaded, source, *shared); !kept) return failure(what + kept.error().what);
    if (!program) program = keep_program(loaded, *function, version);
    if (!twin) twin = keep_program(loaded, source.twin, twin_of(version));
    if (!program) return failure(what + program.error().what, program.error().number);
    if (!twin) return failure(what + twin.error().what, twin.error().number);
    const auto info = info_of_program(*program);
    if (!info) return std::unexpected(info.error());
    programs_.emplace(source.name,
                      Program{*program, info->id, version, *source.layout->kind_of(*function), *twin});
    sources_.emplace(source.name, source);
    return {};
}

// Maps of the interface that are there already take the place of the object's own.
Result<LoadedPrograms::SharedMaps> LoadedPrograms::share_maps(bpf_object* object,
                                                              const ProgramSource& source) {
    SharedMaps all;
    const std::string what = "load program " + source.name + ": ";
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
        if (bpf_map__is_internal(map)) continue;
        const std::string name = bpf_map__name(map);
        // An object may ask to be pinned by name; where maps are pinned, we decide.
        bpf_map__set_pin_path(map, nullptr);
        MapDefinition wanted = read_definition(map, bpf_object__btf(object), *source.layout);
        wanted.layout.name = name;
        int shared = -1;
        if (const auto found = maps_.find(name); found != maps_.end()) {
            shared = found->second.descriptor;
            all.all = all.all && !found->second.is_new;
            if (const std::string differs = difference(found->second.shape, shape_of(map)); !differs.empty())
                return failure(what + "map " + name +
                               " is defined differently in another program of the interface (" + differs +
                               "); give them one definition or two names");
        } else if (pinning_) {
            const auto pinned = find_pinned(source, wanted, shape_of(map));
            if (!pinned) return failure(what + pinned.error().what, pinned.error().number);
            shared = *pinned;
        }
        all.all = all.all && shared >= 0;
        all.definitions.emplace(name, std::move(wanted));
        if (shared < 0) continue;
        if (const int error = bpf_map__reuse_fd(map, shared); error != 0)
            return failure(what + "share map " + name + ": " + errno_text(error), -error);
    }
    return all;
}

// The map that is pinned for this definition; -1 where there is none.
Result<int> LoadedPrograms::find_pinned(const ProgramSource& source, const MapDefinition& wanted,
                                        const MapShape& shape) {
    const std::string& name = wanted.layout.name;
    const std::string path = pinning_->pins.map(name);
    Descriptor pinned(pinning_->kernel->open_pin(path));
    if (pinned.get() == -ENOENT) return -1;
    if (!pinned) return failure("open " + path + ": " + errno_text(pinned.get()), -pinned.get());
    const auto info = info_of_map(pinned.get());
    if (!info) return std::unexpected(info.error());
    const MapShape before = shape_of(*info);
    const auto known = definitions_.find(info->id);
    const std::string differs = difference(before, shape);
    CarryOver how = ReuseMap{};
    if (known != definitions_.end()) {
        const auto rule = source.merge_rules.find(name);
        how = compare_maps(known->second, wanted,
                           rule == source.merge_rules.end() ? std::nullopt : std::optional(rule->second));
    } else if (!differs.empty()) {
        how = RefuseMap{"map " + name + " cannot be carried over: " + differs +
                        " in the program that ran before and in this one, and nothing tells how it was "
                        "defined there"};
    }
    if (std::holds_alternative<ReuseMap>(how)) {
        if (known == definitions_.end()) definitions_.emplace(info->id, wanted);
        taken_up_.push_back(std::move(pinned));
        return taken_up_.back().get();
    }
    StagedMap staged{.before = std::move(pinned),
                     .shape_before = before,
                     .layout_before = known == definitions_.end() ? MapLayout{} : known->second.layout,
                     .plan = std::nullopt,
                     .why = ""};
    if (auto* plan = std::get_if<MigrateMap>(&how)) {
        staged.plan = std::move(*plan);
        return stage(wanted, std::move(staged));
    }
    staged.why = std::get<RefuseMap>(how).reason;
    if (source.resets_maps) return stage(wanted, std::move(staged));
    return failure(
        staged.why + ". In [[program]] " + source.name + ", maps." + name +
        ".merge = \"sum\" or \"newest\" says how to merge, and on_incompatible = \"reset\" lets such maps "
        "start anew");
}

// The next map that an earlier process made, where it is of this definition; -1 where a new one is needed.
Result<int> LoadedPrograms::stage(const MapDefinition& wanted, StagedMap staged) {
    const std::string name = wanted.layout.name;
    staged_.insert_or_assign(name, std::move(staged));
    const std::string path = pinning_->pins.next_map(name);
    Descriptor next(pinning_->kernel->open_pin(path));
    if (next.get() == -ENOENT) return -1;
    if (!next) return failure("open " + path + ": " + errno_text(next.get()), -next.get());
    const auto info = info_of_map(next.get());
    const auto known = info ? definitions_.find(info->id) : definitions_.end();
    if (known != definitions_.end() && known->second == wanted) {
        taken_up_.push_back(std::move(next));
        return taken_up_.back().get();
    }
    if (const int error = pinning_->kernel->unpin(path); error != 0)
        return failure("unpin " + path + ": " + errno_text(error), -error);
    return -1;
}

Result<void> LoadedPrograms::keep_maps(bpf_object* object, const ProgramSource& source,
                                       const SharedMaps& shared) {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
        if (bpf_map__is_internal(map)) continue;
        const std::string name = bpf_map__name(map);
        const int descriptor = bpf_map__fd(map);
        const bool is_new = std::ranges::none_of(
            taken_up_, [&](const Descriptor& one) { return is_same_map(one.get(), descriptor); });
        const auto [known, is_first] = maps_.try_emplace(
            name, Map{descriptor, source.layout, source.layout->map(name), shape_of(map), is_new});
        if (!is_first || !is_new || !pinning_) continue;
        if (auto pinned = pin_new(name, descriptor, shared.definitions.find(name)->second); !pinned)
            return pinned;
    }
    return {};
}

// Where the process is killed in between, the next one must not take up a program that works on the map
// whose place this one takes: no pin of such a program is there when the map's is.
Result<void> LoadedPrograms::pin_new(const std::string& name, int map, const MapDefinition& definition) {
    const auto info = info_of_map(map);
    if (!info) return std::unexpected(info.error());
    if (auto forgotten = forget_programs(); !forgotten) return forgotten;
    definitions_.insert_or_assign(info->id, definition);
    if (auto saved = save_map_definitions(*pinning_->kernel, pinning_->definitions, definitions_); !saved)
        return saved;
    const int error =
        pinning_->kernel->pin(map, is_next(name) ? pinning_->pins.next_map(name) : pinning_->pins.map(name));
    if (error != 0) return failure("pin map " + name + ": " + errno_text(error), -error);
    return {};
}

Result<void> LoadedPrograms::forget_programs() {
    for (const std::string& path : files_in(pinning_->pins.programs())) {
        const std::string version = version_of_pin(path);
        if (is_in_use(version, pinning_->attached) || knows_version(version)) continue;
        if (const int error = pinning_->kernel->unpin(path); error != 0 && error != -ENOENT)
            return failure("unpin " + path + ": " + errno_text(error), -error);
    }
    return {};
}

// Those of maps that are pinned no more.
void LoadedPrograms::prune_definitions() {
    std::set<std::uint32_t> live;
    for (const std::string& path : files_in(pinning_->pins.maps())) {
        const Descriptor map(pinning_->kernel->open_pin(path));
        const auto info = map ? info_of_map(map.get()) : failure("no map");
        if (!info) return;
        live.insert(info->id);
    }
    if (std::erase_if(definitions_, [&](const auto& one) { return !live.contains(one.first); }) != 0)
        (void)save_map_definitions(*pinning_->kernel, pinning_->definitions, definitions_);
}

bool LoadedPrograms::is_next(std::string_view map) const {
    const auto found = staged_.find(map);
    return found != staged_.end() && !found->second.took_place;
}

// The pinned program, unless one of the maps that it works on is no longer the interface's.
Result<int> LoadedPrograms::take_up(const std::string& version, bool same_maps) {
    if (!pinning_ || !same_maps) return failure("nothing to take up");
    Descriptor program(pinning_->kernel->open_pin(pinning_->pins.program(version)));
    if (!program) return failure("no pin", -program.get());
    taken_up_.push_back(std::move(program));
    return taken_up_.back().get();
}

// From its pin alone, and its twin's: its object may be anywhere.
Result<void> LoadedPrograms::take_up_attached() {
    const std::string& version = pinning_->attached.xdp;
    const std::string name = version.substr(0, version.find('@'));
    if (version.empty() || programs_.contains(name)) return {};
    const auto program = take_up(version, true);
    if (!program)
        return failure("take up program " + version + ": " + program.error().what, program.error().number);
    const auto info = info_of_program(*program);
    if (!info) return std::unexpected(info.error());
    const auto twin = take_up(twin_of(version), true);
    programs_.emplace(name, Program{*program, info->id, version, ProgramKind::xdp, twin.value_or(-1)});
    return {};
}

Result<void> LoadedPrograms::pin_again() const {
    if (!pinning_) return {};
    std::vector<std::pair<int, std::string>> pins;
    for (const auto& [name, program] : programs_) {
        pins.emplace_back(program.descriptor, pinning_->pins.program(program.version));
        if (program.twin >= 0)
            pins.emplace_back(program.twin, pinning_->pins.program(twin_of(program.version)));
    }
    for (const auto& [name, map] : maps_)
        pins.emplace_back(map.descriptor,
                          is_next(name) ? pinning_->pins.next_map(name) : pinning_->pins.map(name));
    for (const auto& [name, staged] : staged_)
        if (is_next(name)) pins.emplace_back(staged.before.get(), pinning_->pins.map(name));
    for (const auto& [descriptor, path] : pins)
        if (auto pinned = bpf::pin_again(*pinning_->kernel, descriptor, path); !pinned) return pinned;
    return {};
}

Result<int> LoadedPrograms::keep_program(bpf_object* object, const std::string& function,
                                         const std::string& version) {
    const bpf_program* program = bpf_object__find_program_by_name(object, function.c_str());
    if (program == nullptr) return failure("the object has no program " + function);
    const int descriptor = bpf_program__fd(program);
    if (!pinning_) return descriptor;
    // There may be one that works on other maps.
    if (auto pinned = pin_anew(*pinning_->kernel, descriptor, pinning_->pins.program(version)); !pinned)
        return std::unexpected(pinned.error());
    return descriptor;
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

std::optional<std::string> LoadedPrograms::name_of_version(std::string_view version) const {
    for (const auto& [name, program] : programs_)
        if (program.version == version) return name;
    return std::nullopt;
}

const ProgramSource* LoadedPrograms::source(std::string_view name) const {
    const auto found = sources_.find(name);
    return found == sources_.end() ? nullptr : &found->second;
}

bool LoadedPrograms::has_twins() const {
    return std::ranges::any_of(programs_, [](const auto& one) { return one.second.twin >= 0; });
}

bool LoadedPrograms::knows_version(std::string_view version) const {
    return std::ranges::any_of(programs_, [&](const auto& one) {
        const Program& program = one.second;
        return program.version == version || (program.twin >= 0 && twin_of(program.version) == version);
    });
}

Result<LoadedPrograms::Map> LoadedPrograms::map(std::string_view name) const {
    if (const auto found = maps_.find(name); found != maps_.end()) return found->second;
    std::string list;
    for (const auto& [known, map] : maps_) list += (list.empty() ? "" : ", ") + known;
    return failure("no loaded program has a map '" + std::string(name) + "'; there " +
                   (list.empty() ? "is none" : "are " + list));
}

} // namespace homeostat::bpf

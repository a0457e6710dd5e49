// Loading: every declared program is loaded and verified by the kernel for each interface before anything
// live changes. Nothing is attached here.
#pragma once

#include "adapters/bpf/datapath/instance.hpp"
#include "adapters/bpf/datapath/pinned_program.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "adapters/bpf/maps/interface_map.hpp"
#include "adapters/bpf/maps/map_definitions.hpp"
#include "knowledge/error.hpp"
#include "knowledge/layout.hpp"

#include <bpf/libbpf.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::bpf {

// A declared program and the object file in which it was found.
struct ProgramSource {
    std::string name;                           // as the configuration names it
    std::string path;                           // of the object file
    std::string function;                       // "" where ObjectLayout::only_program() tells it
    std::string twin;                           // its TC twin in the same object; "" for none
    std::shared_ptr<const ObjectLayout> layout; // of the object file
    std::map<std::string, MergeRule, std::less<>>
        merge_rules{};        // by map, for one that was defined differently
    bool resets_maps = false; // a map that cannot go on starts anew, instead of being a reason for refusal
};

// A program's object as its file holds it.
struct ProgramObject {
    std::string bytes;
    std::string function; // of the program in it
    std::string version;  // as version_of() tells it
};
Result<ProgramObject> read_program(const ProgramSource& source);
// The name of the pin that the program has, "guard@0123456789ab": its name, and what it is made of. Fails
// where the object cannot be read, or has no such program.
Result<std::string> version_of(const ProgramSource& source);

// What two maps must agree on to be one.
struct MapShape {
    std::uint32_t type = 0;
    std::uint32_t key_size = 0;
    std::uint32_t value_size = 0;
    std::uint32_t max_entries = 0;
    std::uint32_t flags = 0;

    bool operator==(const MapShape&) const = default;
};
MapShape shape_of(const bpf_map* map);       // as its object defines it
MapShape shape_of(const bpf_map_info& info); // as the kernel has it

// A map that the attached program works on and the loaded ones define differently: they have one of their
// own, which takes the place of the old one when one of them takes the place of the attached program.
struct StagedMap {
    Descriptor before;
    MapShape shape_before;
    MapLayout layout_before;
    std::optional<MigrateMap> plan; // none: the new map starts empty
    std::string why;                // it does
    bool is_spoiled = false;        // it holds some of the old entries
    bool took_place = false;        // in the transaction that is under way
};

// The programs of one interface, loaded. Maps of the same name are one map where their definitions agree
// (type, sizes of key and value, entries, flags), so that a program that replaces another one goes on with
// its counters; .rodata, .data and .bss belong to each program alone. Move-only; on destruction the kernel
// drops what is neither attached nor pinned.
class LoadedPrograms {
  public:
    struct Program {
        int descriptor; // owned by the LoadedPrograms
        std::uint32_t id;
        std::string version; // its name and what it was made of, "guard@0123456789ab"
        ProgramKind kind = ProgramKind::xdp;
        int twin = -1; // the TC program that stands in for it during a switch; -1 for none
    };
    struct Map {
        int descriptor; // owned by the LoadedPrograms
        std::shared_ptr<const ObjectLayout> object;
        const MapLayout* layout; // in `object`
        MapShape shape;
        bool is_new = false; // no program of before works on it
    };
    // Where what is loaded is pinned, and where what was pinned before is taken up again: a program of the
    // same object and function, with the same maps, is not loaded a second time; a map of the same definition
    // goes on with what is in it, and one of another definition is staged.
    struct Pinning {
        const KernelPort* kernel;
        InterfacePins pins;
        std::string definitions; // the path of the file of them
        AttachedVersions attached;
        bool keeps_attached = false; // the XDP program is one of these, by its name, where no source has that
    };

    // A program that the kernel rejects is kept as its error (see program()); the others are loaded all the
    // same. Fails as a whole where privileges are missing, which the error names.
    static Result<LoadedPrograms> load(const std::vector<ProgramSource>& sources,
                                       std::optional<Pinning> pinning = std::nullopt);

    // Fails with the reason why it was rejected, or where no such program was declared.
    Result<Program> program(std::string_view name) const;
    // Its name in the configuration; none where the program with this id is not one of these.
    std::optional<std::string> name_of(std::uint32_t program_id) const;
    std::optional<std::string> name_of_version(std::string_view version) const;
    // Of a program that was declared and not rejected; nullptr for none.
    const ProgramSource* source(std::string_view name) const;
    // Fails where no loaded program has the map, and names those that there are.
    Result<Map> map(std::string_view name) const;

    const std::map<std::string, Program, std::less<>>& all() const { return programs_; } // by name
    bool has_twins() const;

    std::map<std::string, StagedMap, std::less<>>& staged() { return staged_; } // by map
    const std::map<std::string, StagedMap, std::less<>>& staged() const { return staged_; }
    // Whether the interface's map of this name is still another one.
    bool is_next(std::string_view map) const;
    // Whether it is the pin of one of these, or of its twin.
    bool knows_version(std::string_view version) const;

    const std::map<std::string, Error, std::less<>>& rejected() const { return rejected_; }

    // Pins what is pinned no more.
    Result<void> pin_again() const;

  private:
    struct CloseObject {
        void operator()(bpf_object* object) const { bpf_object__close(object); }
    };
    using Object = std::unique_ptr<bpf_object, CloseObject>;

    LoadedPrograms() = default;
    Result<void> load_one(const ProgramSource& source);
    struct SharedMaps {
        bool all = true;
        std::map<std::string, MapDefinition, std::less<>> definitions; // of all maps of the object
    };
    Result<SharedMaps> share_maps(bpf_object* object, const ProgramSource& source);
    Result<int> find_pinned(const ProgramSource& source, const MapDefinition& wanted, const MapShape& shape);
    Result<int> stage(const MapDefinition& wanted, StagedMap staged);
    Result<void> keep_maps(bpf_object* object, const ProgramSource& source, const SharedMaps& shared);
    Result<void> pin_new(const std::string& name, int map, const MapDefinition& definition);
    Result<void> forget_programs();
    void prune_definitions();
    Result<void> take_up_attached();
    Result<int> take_up(const std::string& version, bool same_maps);
    Result<int> keep_program(bpf_object* object, const std::string& function, const std::string& version);

    std::optional<Pinning> pinning_;
    std::vector<Object> objects_;
    std::vector<Descriptor> taken_up_;
    std::map<std::string, Program, std::less<>> programs_;
    std::map<std::string, ProgramSource, std::less<>> sources_; // of programs_
    std::map<std::string, Map, std::less<>> maps_;
    std::map<std::string, StagedMap, std::less<>> staged_;
    MapDefinitions definitions_;
    std::map<std::string, Error, std::less<>> rejected_;
};

} // namespace homeostat::bpf

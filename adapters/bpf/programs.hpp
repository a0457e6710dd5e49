// Loading: every declared program is loaded and verified by the kernel for each interface before anything
// live changes. Nothing is attached here.
#pragma once

#include "adapters/bpf/interface_map.hpp"
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
    std::string function;                       // "" where the object has one XDP program only
    std::shared_ptr<const ObjectLayout> layout; // of the object file
};

// The programs of one interface, loaded. Maps of the same name are one map where their definitions agree
// (type, sizes of key and value, entries, flags), so that a program that replaces another one goes on with
// its counters; .rodata, .data and .bss belong to each program alone. Move-only; on destruction the kernel
// drops what is not attached.
class LoadedPrograms {
  public:
    struct Program {
        int descriptor; // owned by the LoadedPrograms
        std::uint32_t id;
    };
    struct Map {
        int descriptor; // owned by the LoadedPrograms
        std::shared_ptr<const ObjectLayout> object;
        const MapLayout* layout;   // in `object`
        const bpf_map* definition; // as the first program that has it defines it
    };

    // A program that the kernel rejects is kept as its error (see program()); the others are loaded all the
    // same. Fails as a whole where privileges are missing, which the error names.
    static Result<LoadedPrograms> load(const std::vector<ProgramSource>& sources);

    // Fails with the reason why it was rejected, or where no such program was declared.
    Result<Program> program(std::string_view name) const;
    // Its name in the configuration; none where the program with this id is not one of these.
    std::optional<std::string> name_of(std::uint32_t program_id) const;
    // Fails where no loaded program has the map, and names those that there are.
    Result<Map> map(std::string_view name) const;

    const std::map<std::string, Error, std::less<>>& rejected() const { return rejected_; }

  private:
    struct CloseObject {
        void operator()(bpf_object* object) const { bpf_object__close(object); }
    };
    using Object = std::unique_ptr<bpf_object, CloseObject>;

    LoadedPrograms() = default;
    Result<void> load_one(const ProgramSource& source);
    Result<void> share_maps(bpf_object* object, const ProgramSource& source);

    std::vector<Object> objects_;
    std::map<std::string, Program, std::less<>> programs_;
    std::map<std::string, Map, std::less<>> maps_;
    std::map<std::string, Error, std::less<>> rejected_;
};

} // namespace homeostat::bpf

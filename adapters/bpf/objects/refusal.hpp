// Why the kernel did not take an object, in words with what to do about it.
#pragma once

#include "adapters/bpf/objects/verdict.hpp"
#include "knowledge/error.hpp"

#include <bpf/libbpf.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::bpf {

// What must be known of a machine to say why it refuses.
struct KernelFacts {
    std::vector<std::string> missing_capabilities;
    bool in_user_namespace = false; // not in the first one: capabilities say nothing there
    std::string lockdown;   // "none", "integrity", "confidentiality"; "" where the kernel does not tell
    std::string release;    // "6.12.0"
    std::uint32_t cpus = 1; // possible ones
    std::uint32_t page_bytes = 4096;

    bool operator==(const KernelFacts&) const = default;
};
KernelFacts kernel_facts();

// What the kernel was asked for.
struct RefusedMap {
    std::string name;
    std::uint32_t type = 0;
    std::uint32_t key_size = 0;
    std::uint32_t value_size = 0;
    std::uint32_t max_entries = 0;
    std::uint32_t flags = 0;
    bool kind_is_missing = false; // in this kernel
};

// Why a map could not be made: its definition, and what is wrong with it.
std::string why_no_map(const RefusedMap& map, int number, const KernelFacts& facts);

// "Operation not permitted (EPERM)" and why it is, by what is known of the machine.
std::string why_not_permitted(int number, const KernelFacts& facts);

struct Refusal {
    std::string what;               // all of it, in words
    std::optional<Verdict> verdict; // where it was the verifier

    bool operator==(const Refusal&) const = default;
};

// Of a failed bpf_object__load() of the program `function` alone, or of maps alone where it is "". `path`:
// where the object was read from; `log`: all that libbpf said meanwhile.
Refusal why_not_loaded(const bpf_object* object, const std::string& path, const std::string& function,
                       int number, std::string_view log);

// The same as an error that begins with `what`, and tells how to see the verifier's whole log.
std::unexpected<Error> not_loaded(const std::string& what, const bpf_object* object, const std::string& path,
                                  const std::string& function, int number, std::string_view log);

} // namespace homeostat::bpf

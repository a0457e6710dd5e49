// Why the kernel's verifier rejected a program, read from what it wrote: pure functions of text. The log of a
// program that is too complex has a million lines, and all that matters stands at its end, so it is read
// from there. (Format: kernel/bpf/verifier.c and log.c, of Linux 5.15 to 6.18.)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::bpf {

struct SourceLine {
    std::string file; // "" where it is not known
    int line = 0;     // from 1; 0 where it is not known, as before Linux 6.9
    int column = 0;   // from 1; the log never tells it, see source_lines.hpp
    std::string text; // without indentation; "" where it is not known

    bool operator==(const SourceLine&) const = default;
};

struct VerifiedInstruction {
    std::uint32_t index = 0; // in the program with the functions that it calls
    std::string text;        // "r1 = *(u32 *)(r1 +100)"; "" where the log has it not
    SourceLine source;

    bool operator==(const VerifiedInstruction&) const = default;
};

struct RegisterState {
    std::string name;  // "r1"
    std::string state; // "pkt(r=0)", as the verifier writes it

    bool operator==(const RegisterState&) const = default;
};

struct Verdict {
    std::string message; // the verifier's last words, lines joined by "; "
    // Where it failed, or gave up; none where the log names no instruction, as for a stack that is too large.
    std::optional<VerifiedInstruction> at;
    std::optional<VerifiedInstruction> acquired; // where the reference comes from that is not released
    std::vector<RegisterState> registers;        // that the instruction uses or the message names, in order
    std::string advice;                          // what to do about it; "" where we do not know

    bool operator==(const Verdict&) const = default;
};

// None where the verifier said nothing but statistics.
std::optional<Verdict> read_verdict(std::string_view log);

// What to do about the verifier's message; "" where we do not know.
std::string_view advice_for(std::string_view message);

// "FILE:LINE:COLUMN: TEXT", as far as it is known.
std::string to_text(const SourceLine& source);

// The message, and a line each for the place, the instruction, the registers, and what to do.
std::string to_text(const Verdict& verdict);

} // namespace homeostat::bpf

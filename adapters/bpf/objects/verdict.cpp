#include "adapters/bpf/objects/verdict.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <set>

namespace homeostat::bpf {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::string_view trim(std::string_view text) {
    constexpr std::string_view space = " \t\r";
    const auto begin = text.find_first_not_of(space);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(space) - begin + 1);
}

// Takes a number off the front.
std::optional<std::uint32_t> take_number(std::string_view& text) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return number;
}

// The number that follows `words` in the text.
std::optional<std::uint32_t> number_after(std::string_view text, std::string_view words) {
    const auto found = text.find(words);
    if (found == std::string_view::npos) return std::nullopt;
    text.remove_prefix(found + words.size());
    return take_number(text);
}

// The lines of a text, from the last one on.
class LinesBackwards {
  public:
    explicit LinesBackwards(std::string_view text) : rest_(text) {}

    std::optional<std::string_view> next() {
        while (!rest_.empty()) {
            const auto end = rest_.rfind('\n');
            const bool first = end == std::string_view::npos;
            const std::string_view line = first ? rest_ : rest_.substr(end + 1);
            rest_ = first ? std::string_view() : rest_.substr(0, end);
            if (!line.empty()) return line;
        }
        return std::nullopt;
    }

  private:
    std::string_view rest_;
};

bool is_statistics(std::string_view line) {
    return line.starts_with("processed ") || line.starts_with("verification time ") ||
           line.starts_with("stack depth ");
}

// ---- lines of the log

struct InstructionLine {
    std::uint32_t index;
    std::string_view text;  // without its code
    std::string_view state; // the registers that it changed, after it
};

// "1: (61) r1 = *(u32 *)(r1 +100)          ; R1=…", or "1: <invalid CO-RE relocation>", as libbpf writes it.
std::optional<InstructionLine> read_instruction(std::string_view line) {
    const auto index = take_number(line);
    if (!index) return std::nullopt;
    if (line.starts_with(": <")) return InstructionLine{*index, line.substr(2), {}};
    if (!line.starts_with(": (")) return std::nullopt;
    const auto code_end = line.find(") ");
    if (code_end == std::string_view::npos) return std::nullopt;
    line.remove_prefix(code_end + 2);
    const auto comment = line.find(';');
    const bool has_state = comment != std::string_view::npos;
    return InstructionLine{*index, trim(line.substr(0, comment)),
                           has_state ? line.substr(comment + 1) : std::string_view()};
}

// "0: R1=ctx() R10=fp0", "from 6 to 9: R0=…", " frame1: R1=…": all registers that can be read.
std::optional<std::string_view> read_state(std::string_view line) {
    std::string_view state = line;
    if (const auto colon = line.find(": "); is_digit(line.front()) || line.starts_with("from "))
        state = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 2);
    state = trim(state);
    if (state.starts_with("frame")) state = trim(state.substr(std::min(state.size(), state.find(':') + 1)));
    // "R1=…", and not a message: "R1 offset is outside of the packet".
    const std::string_view first = state.substr(0, state.find(' '));
    if (first.size() > 1 && first.front() == 'R' && is_digit(first[1]) && first.contains('=')) return state;
    return std::nullopt;
}

// "; return data[25] == 0; @ program.bpf.c:8"
std::optional<SourceLine> read_source(std::string_view line) {
    if (!line.starts_with(';')) return std::nullopt;
    SourceLine source;
    line.remove_prefix(1);
    if (const auto at = line.rfind(" @ "); at != std::string_view::npos) {
        const std::string_view place = line.substr(at + 3);
        const auto colon = place.rfind(':');
        if (const auto number = number_after(place.substr(std::min(place.size(), colon)), ":")) {
            source.file = place.substr(0, colon);
            source.line = static_cast<int>(*number);
            line = line.substr(0, at);
        }
    }
    source.text = trim(line);
    // The compiler's own instructions belong to line 0.
    if (source.text.empty()) return std::nullopt;
    return source;
}

// ---- registers

// Those that the text names, as in "r1" or "w1" (`initials` "rw"), or "R1" (`initials` "R").
std::vector<int> registers_in(std::string_view text, std::string_view initials) {
    std::vector<int> registers;
    for (std::size_t i = 0; i + 1 < text.size(); ++i) {
        if (!initials.contains(text[i]) || (i > 0 && is_word(text[i - 1]))) continue;
        std::string_view rest = text.substr(i + 1);
        const auto number = take_number(rest);
        if (number && *number <= 10 && (rest.empty() || !is_word(rest.front())))
            registers.push_back(static_cast<int>(*number));
    }
    return registers;
}

std::vector<int> registers_read_by(std::string_view instruction) {
    if (instruction == "exit") return {0};
    // What "r1 = " writes it does not read.
    const auto assigned = instruction.find(" = ");
    const bool to_register = assigned != std::string_view::npos &&
                             registers_in(instruction.substr(0, assigned), "rw").size() == 1 &&
                             std::ranges::all_of(instruction.substr(0, assigned), is_word);
    return registers_in(to_register ? instruction.substr(assigned + 3) : instruction, "rw");
}

bool writes(std::string_view instruction, int number) {
    const bool is_register = instruction.starts_with('r') || instruction.starts_with('w');
    const std::string name = std::to_string(number) + " ";
    return (is_register && instruction.substr(1).starts_with(name)) ||
           (number == 0 && instruction.starts_with("call "));
}

// The state of one register where the text has it: "R1=pkt(r=0)", "R1_w=pkt(off=0,r=0,imm=0)".
std::optional<std::string> state_of(int number, std::string_view states) {
    const std::string name = "R" + std::to_string(number);
    for (auto at = states.find(name); at != std::string_view::npos; at = states.find(name, at + 1)) {
        if (at > 0 && states[at - 1] != ' ') continue;
        std::string_view rest = states.substr(at + name.size());
        const auto equals = rest.find('=');
        if (equals == std::string_view::npos || equals > 3 || (equals > 0 && rest.front() != '_')) continue;
        rest.remove_prefix(equals + 1);
        int depth = 0;
        std::size_t end = 0;
        for (; end < rest.size() && (depth > 0 || rest[end] != ' '); ++end)
            depth += rest[end] == '(' ? 1 : rest[end] == ')' ? -1 : 0;
        return std::string(rest.substr(0, end));
    }
    return std::nullopt;
}

// Before the line on which `lines` stands.
std::string state_before(int number, LinesBackwards lines) {
    while (const auto line = lines.next()) {
        if (const auto instruction = read_instruction(*line)) {
            if (auto state = state_of(number, instruction->state)) return *state;
            // Kernels before 5.18 tell of registers at branches only.
            if (writes(instruction->text, number))
                return "the result of instruction " + std::to_string(instruction->index) + ": " +
                       std::string(instruction->text);
            if (instruction->text.starts_with("call ") && number >= 1 && number <= 5)
                return "nothing: the call at instruction " + std::to_string(instruction->index) +
                       " overwrote it";
        } else if (const auto all = read_state(*line)) {
            if (auto state = state_of(number, *all)) return *state;
            break;
        }
    }
    return "nothing: it was never written on this path";
}

std::vector<RegisterState> registers_of(const Verdict& verdict, const LinesBackwards& before) {
    const std::vector<int> named = registers_in(verdict.message, "R");
    std::set<int> wanted(named.begin(), named.end());
    for (const int number : registers_read_by(verdict.at->text)) wanted.insert(number);
    std::vector<RegisterState> registers;
    for (const int number : wanted)
        registers.push_back({"r" + std::to_string(number), state_before(number, before)});
    return registers;
}

// ---- the verdict's parts

std::optional<SourceLine> source_before(LinesBackwards lines) {
    while (const auto line = lines.next())
        if (auto source = read_source(*line)) return source;
    return std::nullopt;
}

// The last time that the verifier came to it.
std::optional<VerifiedInstruction> instruction_before(std::uint32_t index, LinesBackwards lines) {
    while (const auto line = lines.next())
        if (const auto found = read_instruction(*line); found && found->index == index)
            return VerifiedInstruction{index, std::string(found->text),
                                       source_before(lines).value_or(SourceLine{})};
    return std::nullopt;
}

std::optional<std::uint32_t> instruction_named_in(std::string_view message) {
    for (const std::string_view words : {"unreachable insn ", "detected at insn ", "from insn ", "at insn "})
        if (const auto index = number_after(message, words)) return index;
    return std::nullopt;
}

struct Advice {
    std::string_view words; // in the verifier's message
    std::string_view advice;
};

constexpr auto all_advice = std::to_array<Advice>({
    {"invalid access to packet", "before the bytes are read or written, compare the end of what is needed "
                                 "with data_end, and return where it lies behind"},
    {"_or_null'", "compare the pointer with NULL before it is used"},
    {"!read_ok", "give the variable a value on every path; a call overwrites r1 to r5"},
    {"infinite loop detected", "give the loop a counter that changes, and a bound that the verifier can see"},
    {"back-edge", "this kernel takes no loops; unroll it (#pragma unroll)"},
    {"program is too large. Processed", "the verifier gave up: give loops smaller bounds, have functions "
                                        "verified on their own (global, __noinline), or loop by bpf_loop()"},
    {"too many", "split the program, or give its loops smaller bounds"},
    {"invalid func unknown#", "this kernel has no such helper; run a newer kernel, or build the program "
                              "without it"},
    {"unknown func ", "this kernel has no such helper for this kind of program, or is locked down and denies "
                      "it; 'bpftool feature probe' lists those that there are"},
    {"cannot use helper", "this kernel has no such helper for this kind of program, or is locked down and "
                          "denies it; 'bpftool feature probe' lists those that there are"},
    {"GPL", "the helper is for programs under the GPL alone: declare "
            "char LICENSE[] SEC(\"license\") = \"GPL\", or do without it"},
    {"nreleased reference", "release it on every path: submit or discard a reserved record, release a socket "
                            "that was looked up"},
    {"reference leak", "release it on every path before the program ends"},
    {"combined stack size", "a program and the functions that it calls have 512 bytes of stack together; "
                            "keep large variables in a per-CPU array"},
    {"to stack R10", "the stack ends 512 bytes below r10; keep large variables in a per-CPU array"},
    {"from stack", "give what is read from the stack a value first, all bytes of it, and stay within its 512 "
                   "bytes"},
    {"At program exit", "return a value that programs of this kind may return"},
    {"CO-RE relocation",
     "this kernel has no such type or field; ask for it by bpf_core_field_exists() before "
     "it is used"},
    {"unbounded memory access", "bound the index or length by a comparison before it is used"},
    {"min value is negative", "make the index or length unsigned, or compare it with 0 before it is used"},
    {"invalid access to map value", "compare the index with the size of the map's value before it is used"},
    {"max value is outside", "bound the index by a comparison before it is used"},
    {"leads to invalid memory access", "bound the length by a comparison before it is used"},
    {"unreachable insn", "nothing leads to this code; remove it, or the loop without end before it"},
    {"misaligned", "read the field byte by byte, or align it"},
});

} // namespace

std::string_view advice_for(std::string_view message) {
    const auto* const found = std::ranges::find_if(
        all_advice, [&](const Advice& advice) { return message.contains(advice.words); });
    return found == all_advice.end() ? std::string_view() : found->advice;
}

std::optional<Verdict> read_verdict(std::string_view log) {
    Verdict verdict;
    LinesBackwards lines(log);
    std::vector<std::string_view> message;
    std::optional<LinesBackwards> before;
    while (const auto line = lines.next()) {
        // A state that it compares with another one says the same as the registers below.
        if (is_statistics(*line) || line->starts_with("cur state: ") || line->starts_with("old state: "))
            continue;
        if (const auto instruction = read_instruction(*line)) {
            verdict.at = VerifiedInstruction{instruction->index, std::string(instruction->text), {}};
            before = lines;
            break;
        }
        if (read_state(*line) || read_source(*line)) break;
        message.push_back(*line);
    }
    if (message.empty()) return std::nullopt;
    for (const std::string_view line : message)
        verdict.message = std::string(trim(line)) + (verdict.message.empty() ? "" : "; ") + verdict.message;
    verdict.advice = advice_for(verdict.message);
    if (before) {
        verdict.at->source = source_before(*before).value_or(SourceLine{});
        verdict.registers = registers_of(verdict, *before);
        if (const auto index = number_after(verdict.message, "alloc_insn="))
            verdict.acquired = instruction_before(*index, *before);
    } else if (const auto index = instruction_named_in(verdict.message)) {
        verdict.at = VerifiedInstruction{*index, "", {}};
    }
    return verdict;
}

std::string to_text(const SourceLine& source) {
    std::string text = source.file;
    for (const int number : {source.line, source.column})
        if (number > 0) text += ":" + std::to_string(number);
    if (!source.text.empty()) text += (text.empty() ? "" : ": ") + source.text;
    return text;
}

std::string to_text(const Verdict& verdict) {
    const auto place = [](const VerifiedInstruction& instruction) {
        std::string text = to_text(instruction.source);
        return text.empty() ? "instruction " + std::to_string(instruction.index) : text;
    };
    std::string text = verdict.message;
    if (verdict.at) {
        text += "\n  at " + place(*verdict.at);
        if (!verdict.at->text.empty())
            text += "\n  instruction " + std::to_string(verdict.at->index) + ": " + verdict.at->text;
    }
    for (const RegisterState& one : verdict.registers) text += "\n  " + one.name + " holds " + one.state;
    if (verdict.acquired) text += "\n  acquired at " + place(*verdict.acquired);
    if (!verdict.advice.empty()) text += "\n  " + verdict.advice;
    return text;
}

} // namespace homeostat::bpf

#include "adapters/bpf/datapath/change.hpp"

#include "adapters/bpf/datapath/map_entries.hpp"
#include "adapters/bpf/datapath/outlook.hpp"
#include "adapters/bpf/datapath/recovery.hpp"
#include "adapters/bpf/kernel.hpp"

#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

namespace homeostat::bpf {

namespace {

// What iproute2 calls the mode; on some drivers plain "xdp off" leaves a generic program where it is.
std::string off_word(XdpMode mode) {
    return mode == XdpMode::skb ? "xdpgeneric" : mode == XdpMode::drv ? "xdpdrv" : "xdpoffload";
}

// Whether the kernel makes it whole, and what is pinned tells all that there is to know of it.
bool is_atomic(const std::vector<Step>& steps) {
    return steps.size() == 1 &&
           (std::holds_alternative<PinAgain>(steps[0]) || std::holds_alternative<ReplaceXdp>(steps[0]) ||
            std::holds_alternative<AttachXdp>(steps[0]) || std::holds_alternative<DetachXdp>(steps[0]));
}

bool brings_program(const Step& step) {
    return std::visit([](const auto& one) { return requires { one.program; }; }, step);
}

// The reasons of all modes are told, and the number is that of the last one.
void add_refusal(Error& refusals, const Error& refused) {
    refusals.what += (refusals.what.empty() ? "" : "; ") + refused.what;
    refusals.number = refused.number;
}

} // namespace

std::int64_t unix_ms() {
    using namespace std::chrono;
    return duration_cast<std::chrono::milliseconds>(system_clock::now().time_since_epoch()).count();
}

Result<void> Change::run(const std::vector<Step>& steps) {
    // What could not be taken back before is tried once more; then it is told, and left as it is.
    const bool is_ours = instance_.unfinished() && instance_.unfinished()->interface == interface_.name;
    if (std::string again = take_back_unfinished(instance_, kernel_); !again.empty()) {
        if (is_ours) // the pins of maps to be are gone
            for (auto& [name, staged] : interface_.programs.staged()) staged.is_spoiled = true;
        notes_.push_back(std::move(again));
        if (instance_.unfinished())
            if (auto left = instance_.abandon(); !left) return left;
    }
    // What is undone is undone by the pins.
    const bool needs_pins = steps.size() != 1 || !std::holds_alternative<ReplaceXdp>(steps[0]);
    if (auto pinned = needs_pins ? perform(PinAgain{}) : Result<void>{}; !pinned)
        return failure(interface_.name + ": nothing was changed: " + pinned.error().what,
                       pinned.error().number);
    if (auto renewed = renew_spoiled_maps(kernel_, interface_); !renewed)
        return failure(interface_.name + ": " + renewed.error().what, renewed.error().number);
    if (!is_atomic(steps) || !interface_.programs.staged().empty() || instance_.journal_stays()) {
        if (auto begun = instance_.begin(interface_.name); !begun) return begun;
        journaled_ = true;
    }
    handovers_left_ = std::ranges::count_if(steps, brings_program);
    Result<void> done;
    std::string failed_at;
    for (const Step& step : steps) {
        done = std::visit([this](const auto& one) { return perform(one); }, step);
        if (done) continue;
        failed_at = to_text(step) + ": ";
        break;
    }
    if (done) done = commit();
    if (done && interface_.guard_duty == GuardDuty::stand_by) interface_.guard_duty = GuardDuty::stand_down;
    const std::string undone = done ? "" : roll_back();
    if (foreign_pin_ && !instance_.unfinished())
        kernel_.unpin(*foreign_pin_); // else it is swept away by the next process
    if ((offloaded_ || was_offloaded_) && !instance_.unfinished())
        forget_offloaded(kernel_, interface_.pins, is_offloaded() ? interface_.link->version() : "");
    if (done) return done;
    return failure(interface_.name + ": " + failed_at + done.error().what + undone, done.error().number);
}

Result<void> Change::perform(const PinAgain&) {
    if (is_pinned(interface_)) return {};
    if (auto pinned = pin_again(instance_, interface_); !pinned) return pinned;
    notes_.push_back(interface_.name +
                     ": somebody had removed pins of what is attached; they are there again");
    return {};
}

Result<void> Change::perform(const SetMapEntry& step) { return put_entry(step.entry, step.value); }

Result<void> Change::perform(const ClearMapEntry& step) { return put_entry(step.entry, std::nullopt); }

// No value: clears it.
Result<void> Change::put_entry(const MapEntry& entry, const std::optional<MapValue>& value) {
    const auto map = interface_.programs.map(entry.map);
    if (!map) return std::unexpected(map.error());
    const auto port = MapEntryPort::open(kernel_, *map, entry);
    if (!port) return std::unexpected(port.error());
    const auto bytes = value ? port->encode(*value) : Bytes();
    if (!bytes) return std::unexpected(bytes.error());
    const auto before = port->read();
    if (!before) return std::unexpected(before.error());
    const bool is_next = interface_.programs.is_next(entry.map);
    if (auto noted = note(RestoreEntry{entry.map, port->key(), *before, is_next}); !noted) return noted;
    if (auto put = value ? port->write(*bytes) : port->clear(); !put) return put;
    if (value)
        interface_.owned[entry] = *value;
    else
        interface_.owned.erase(entry);
    return copy_entry(entry);
}

Result<void> Change::perform(const AttachXdp& step) {
    const auto ifindex = find_interface();
    if (!ifindex) return std::unexpected(ifindex.error());
    if (interface_.link)
        return failure("program " + interface_.link->version() + " is already attached; replace it", EEXIST);
    if (auto free = refuse_foreign(*ifindex); !free) return free;
    if (auto next = loaded(step.program, ProgramKind::xdp); !next) return std::unexpected(next.error());
    auto handover = prepare_handover();
    if (!handover) return std::unexpected(handover.error());
    prepare_attachment(step.program, step.ladder, *ifindex);
    if (auto noted = note_xdp(); !noted) return noted;
    // Resident from here on; where it cannot be, a switch will tell.
    follow_with_guard(kernel_, interface_, *ifindex);
    if (auto attached = climb(step.program, step.ladder, *ifindex); !attached) return attached;
    return hand_over(*handover);
}

// That the link still holds the program that we put there is for the kernel to compare.
Result<void> Change::perform(const ReplaceXdp& step) {
    if (!is_where_it_was(interface_)) {
        const auto ifindex = find_interface();
        if (!ifindex) return std::unexpected(ifindex.error());
        if (auto held = require_link(*ifindex); !held) return held;
    }
    const auto form = form_for(interface_.link->mode(), step.program, interface_.link->ifindex());
    if (!form) return std::unexpected(form.error());
    auto handover = prepare_handover();
    if (!handover) return std::unexpected(handover.error());
    if (auto noted = note_xdp(); !noted) return noted;
    auto updated = interface_.link->update(*form, &accepted_ns_);
    if (!updated) return updated;
    interface_.attached_unix_ms = unix_ms();
    return hand_over(*handover);
}

// The order is that of the kernel's own needs: the guard sees to the packets before the link lets go of them,
// and until another one has shown that it holds them.
Result<void> Change::perform(const SwitchXdpMode& step) {
    const auto ifindex = find_interface();
    if (!ifindex) return std::unexpected(ifindex.error());
    if (auto held = require_link(*ifindex); !held) return held;
    const auto next = loaded(step.program, ProgramKind::xdp);
    if (!next) return std::unexpected(next.error());
    const XdpMode before = interface_.link->mode();
    auto handover = prepare_handover();
    if (!handover) return std::unexpected(handover.error());
    if (auto ours = interface_.link->require_ours(); !ours) return ours;
    prepare_attachment(step.program, step.ladder, *ifindex);
    if (auto noted = note_xdp(); !noted) return noted;
    const PossibleRungs possible = possible_rungs_on(*ifindex, step.ladder, before);
    std::span<const XdpMode> ladder = possible.ladder;
    Error refusals{possible.ruled_out, EOPNOTSUPP};
    const auto switched = switch_beside(step.program, ladder, *ifindex, refusals);
    if (!switched) return std::unexpected(switched.error());
    if (*switched) return hand_over(*handover);
    const auto uncovered = cover_or_refuse(*next, step.gap, *ifindex);
    if (!uncovered) return std::unexpected(uncovered.error());

    gap_began_ns_ = monotonic_ns();
    auto removed = interface_.link->remove();
    if (!removed && interface_.link->is_live(*ifindex)) gap_began_ns_.reset();
    interface_.link.reset();
    if (!removed) return removed;
    if (auto attached = climb(step.program, ladder, *ifindex, refusals); !attached) return attached;
    end_gap(accepted_ns_);
    notes_.push_back(interface_.name + ": no XDP program for " + milliseconds_text(gap_->ns) +
                     " while switching from " + std::string(to_text(before)) + " to " +
                     std::string(to_text(interface_.link->mode())) + gap_text(*uncovered));
    return hand_over(*handover);
}

Result<void> Change::perform(const ReplaceForeignXdp& step) {
    const auto ifindex = find_interface();
    if (!ifindex) return std::unexpected(ifindex.error());
    const auto next = loaded(step.program, ProgramKind::xdp);
    if (!next) return std::unexpected(next.error());
    const auto shown = attached_program(*ifindex, kernel_);
    if (!shown) return std::unexpected(shown.error());
    if (!*shown) return perform(AttachXdp{step.program, step.ladder}); // it went by itself
    if (interface_.link && interface_.link->program_id() == (*shown)->id &&
        !interface_.link->version().empty())
        return failure("program " + interface_.link->version() + " is attached, and that is ours", EEXIST);
    const PossibleRungs possible = possible_rungs_on(*ifindex, step.ladder, (*shown)->mode);
    if (possible.ladder.empty() && !possible.ruled_out.empty())
        return failure(possible.ruled_out, EOPNOTSUPP);
    const std::string what = describe(**shown) + ", " + whose(owner_of(**shown, *ifindex));
    const auto foreign = find_foreign(kernel_, *ifindex, **shown);
    if (!foreign) return std::unexpected(foreign.error());
    auto handover = prepare_handover();
    if (!handover) return std::unexpected(handover.error());
    prepare_attachment(step.program, step.ladder, *ifindex);
    if (auto kept = keep(*foreign); !kept) return kept;
    const auto uncovered = cover_or_refuse(*next, step.gap, *ifindex);
    if (!uncovered) return std::unexpected(uncovered.error());

    gap_began_ns_ = monotonic_ns();
    interface_.link.reset(); // ours, where somebody put the program into it
    if (auto detached = detach_foreign(kernel_, *ifindex, *foreign); !detached) {
        const auto there = attached_program(*ifindex, kernel_);
        if (there && *there && (*there)->id == foreign->shown.id) gap_began_ns_.reset();
        return detached;
    }
    Error refusals{possible.ruled_out, EOPNOTSUPP};
    if (auto attached = climb(step.program, possible.ladder, *ifindex, refusals); !attached) return attached;
    end_gap(accepted_ns_);
    notes_.push_back(interface_.name + ": replaced foreign " + what + ": no XDP program for " +
                     milliseconds_text(gap_->ns) + gap_text(*uncovered));
    return hand_over(*handover);
}

Result<void> Change::perform(const DetachXdp&) {
    const auto ifindex = find_interface();
    if (!ifindex) return std::unexpected(ifindex.error());
    if (!interface_.link) return refuse_foreign(*ifindex);
    const std::uint32_t id = interface_.link->program_id();
    if (auto ours = interface_.link->require_ours(); !ours) return ours;
    if (auto noted = note_xdp(); !noted) return noted;
    if (auto removed = interface_.link->remove(); !removed) return removed;
    interface_.link.reset();
    const auto shown = attached_program(*ifindex, kernel_);
    if (!shown) return std::unexpected(shown.error());
    if (*shown && (*shown)->id == id)
        return failure("the kernel detached the link but still shows " + describe(**shown), EIO);
    return {};
}

Result<unsigned> Change::find_interface() {
    const unsigned ifindex = follow_device(kernel_, interface_);
    if (ifindex == 0) return failure("there is no such interface in this network namespace", ENODEV);
    return ifindex;
}

// Asks all processes and BPF file systems of the host: milliseconds.
Owner Change::owner_of(const AttachedProgram& foreign, unsigned ifindex) const {
    return Ownership::of_host(instance_.place().bpffs).of(foreign.id, program_name(foreign.id), ifindex);
}

std::string Change::whose(const Owner& owner) const {
    if (std::ranges::find(owner.pins, interface_.pins.link()) != owner.pins.end())
        return "somebody put it into the link of this instance";
    return to_text(owner);
}

Result<void> Change::refuse_foreign(unsigned ifindex) const {
    const auto shown = attached_program(ifindex, kernel_);
    if (!shown) return std::unexpected(shown.error());
    if (!*shown) return {};
    const Owner owner = owner_of(**shown, ifindex);
    if (const std::string renamed = tell_renamed(owner, interface_.name); !renamed.empty())
        return failure(describe(**shown) + " is attached, " + renamed, EBUSY);
    return failure("foreign " + describe(**shown) + " is attached and is left alone (" + whose(owner) +
                       "); detach it with its own tool, or with 'ip link set " + interface_.name + " " +
                       off_word((*shown)->mode) +
                       " off' or 'bpftool link detach', or say on_foreign = \"replace\"",
                   EBUSY);
}

Result<void> Change::require_link(unsigned ifindex) const {
    if (interface_.link) return {};
    if (auto free = refuse_foreign(ifindex); !free) return free;
    return failure("nothing is attached", ENOENT);
}

Result<MapHandover> Change::prepare_handover() {
    return MapHandover::prepare(kernel_, interface_, map_merger_);
}

// When nobody writes the old maps any more: XDP and TC programs may work on the same ones.
Result<void> Change::hand_over(MapHandover& handover) {
    if (--handovers_left_ > 0) return {};
    return handover.run([this](Undo undo) { return note(std::move(undo)); }, notes_);
}

// The program as the mode takes it. That for the network card has the owned map entries when it is attached.
Result<PinnedProgram> Change::form_for(XdpMode mode, const std::string& program, unsigned ifindex) {
    const auto next = loaded(program, ProgramKind::xdp);
    if (!next) return std::unexpected(next.error());
    if (mode != XdpMode::hw) return PinnedProgram{next->descriptor, next->version};
    if (!offloaded_) {
        const int replaced = is_offloaded() ? interface_.link->program() : -1;
        offloaded_ = load_offloaded(kernel_, interface_.pins, interface_.programs, program, interface_.name,
                                    ifindex, replaced);
    }
    if (!*offloaded_) return std::unexpected(offloaded_->error());
    const OffloadedProgram& form = **offloaded_;
    if (auto copied = copy_entries(interface_.owned, form.program.get()); !copied)
        return std::unexpected(copied.error());
    return PinnedProgram{form.program.get(), form.version};
}

// Before anything live changes. Where the kernel's words cannot be had, its number must do; where the form
// fails, the rung of the ladder will tell.
void Change::prepare_attachment(const std::string& program, const std::vector<XdpMode>& ladder,
                                unsigned ifindex) {
    if (interface_.messages != nullptr) (void)interface_.messages->listen();
    if (std::ranges::find(ladder, XdpMode::hw) != ladder.end()) (void)form_for(XdpMode::hw, program, ifindex);
}

Result<void> Change::copy_entries(const std::map<MapEntry, MapValue>& entries, int program) {
    for (const auto& [entry, value] : entries)
        if (auto copied = copy_to_device(kernel_, program, interface_.programs, entry); !copied)
            return copied;
    return {};
}

Result<void> Change::copy_entry(const MapEntry& entry) {
    if (!is_offloaded()) return {};
    return copy_to_device(kernel_, interface_.link->program(), interface_.programs, entry);
}

// Tries the modes in order. Success is what the kernel shows afterwards, and each refusal is kept.
Result<void> Change::climb(const std::string& program, std::span<const XdpMode> ladder, unsigned ifindex,
                           Error refusals) {
    if (ladder.empty() && refusals.what.empty()) refusals.what = "no mode is allowed";
    for (const XdpMode mode : ladder) {
        const auto form = form_for(mode, program, ifindex);
        auto link = form ? XdpLink::attach(kernel_, interface_.pins, *form, interface_.name, ifindex, mode,
                                           &accepted_ns_, interface_.messages)
                         : std::unexpected(form.error());
        if (link) {
            interface_.link = std::move(*link);
            // The index may have become that of another device just before.
            if (::if_nametoindex(interface_.name.c_str()) != ifindex)
                return failure("the interface went away, or another device has its name", ENODEV);
            interface_.attached_unix_ms = unix_ms();
            if (!refusals.what.empty())
                notes_.push_back(interface_.name + ": fell to mode " + std::string(to_text(mode)) + ": " +
                                 refusals.what);
            return {};
        }
        add_refusal(refusals, link.error());
    }
    return std::unexpected(refusals);
}

// A program in the network card and one of the host's coexist: the new one is attached before the old one
// goes. Tries the rungs of which that is so, and takes them off the ladder; where the next one is the present
// mode, the program is replaced in it. False where a mode is next that takes the place of the present one.
Result<bool> Change::switch_beside(const std::string& program, std::span<const XdpMode>& ladder,
                                   unsigned ifindex, Error& refusals) {
    XdpLink& old = *interface_.link;
    for (; !ladder.empty() && coexist(old.mode(), ladder.front()); ladder = ladder.subspan(1)) {
        const XdpMode mode = ladder.front();
        const auto form = form_for(mode, program, ifindex);
        auto link = form ? XdpLink::attach_beside(kernel_, interface_.pins, *form, interface_.name, ifindex,
                                                  mode, &accepted_ns_, interface_.messages)
                         : std::unexpected(form.error());
        if (!link) {
            add_refusal(refusals, link.error());
            continue;
        }
        if (auto detached = old.detach(); !detached) return std::unexpected(detached.error());
        notes_.push_back(interface_.name + ": switched from " + std::string(to_text(old.mode())) + " to " +
                         std::string(to_text(mode)) + " without a gap: both were attached meanwhile" +
                         (refusals.what.empty() ? "" : "; no better mode: " + refusals.what));
        interface_.link = std::move(*link);
        interface_.attached_unix_ms = unix_ms();
        return true;
    }
    if (ladder.empty()) return std::unexpected(refusals);
    if (ladder.front() != old.mode()) return false;
    const auto form = form_for(old.mode(), program, ifindex);
    if (!form) return std::unexpected(form.error());
    if (auto updated = old.update(*form, &accepted_ns_); !updated) return std::unexpected(updated.error());
    notes_.push_back(interface_.name + ": stays in mode " + std::string(to_text(old.mode())) +
                     (refusals.what.empty() ? "" : ": " + refusals.what));
    return true;
}

std::string Change::cover(const LoadedPrograms::Program& next, unsigned ifindex) {
    if (next.twin < 0) return "the program has no TC twin";
    if (std::string obstacle = follow_with_guard(kernel_, interface_, ifindex); !obstacle.empty())
        return obstacle;
    const auto armed = interface_.guard->arm(next.twin);
    interface_.guard_duty = GuardDuty::stand_down; // also where somebody stands before it
    return armed ? "" : armed.error().what;
}

Result<std::string> Change::cover_or_refuse(const LoadedPrograms::Program& next, const GapLimit& limit,
                                            unsigned ifindex) {
    std::string uncovered = cover(next, ifindex);
    gap_covered_ = uncovered.empty();
    if (gap_covered_) return uncovered;
    if (const std::string refused = refusal_of_gap(limit, uncovered); !refused.empty())
        return failure(refused);
    return uncovered;
}

std::string Change::gap_text(const std::string& uncovered) const {
    return gap_covered_ ? ", covered by the TC guard" : ", uncovered: " + uncovered;
}

// So that it can be attached again, also by the process that comes after this one.
Result<void> Change::keep(const ForeignProgram& foreign) {
    const std::string pin = interface_.pins.program(foreign_version(foreign.shown.id));
    const int error = kernel_.pin(foreign.program.get(), pin);
    if (error != 0 && error != -EEXIST)
        return failure("pin foreign " + describe(foreign.shown) + ": " + errno_text(error), -error);
    foreign_pin_ = pin;
    return note(RestoreForeign{foreign.shown.id, foreign.shown.mode, static_cast<bool>(foreign.link)});
}

void Change::end_gap(std::int64_t at_ns) {
    if (const auto began = std::exchange(gap_began_ns_, std::nullopt))
        gap_ = XdpGap{.ns = at_ns - *began, .covered = gap_covered_};
}

Result<void> Change::note(Undo undo) {
    if (journaled_)
        if (auto noted = instance_.note(undo); !noted) return noted;
    undo_.push_back(std::move(undo));
    return {};
}

Result<void> Change::note_xdp() {
    was_offloaded_ = was_offloaded_ || is_offloaded();
    if (!interface_.link) return note(RestoreXdp{});
    return note(RestoreXdp{RestoreXdp::Held{interface_.link->version(), interface_.link->mode()}});
}

Result<void> Change::commit() {
    const Manifest::Interface now{.ifindex = ::if_nametoindex(interface_.name.c_str()),
                                  .attached_unix_ms = interface_.link ? interface_.attached_unix_ms : 0,
                                  .owned = interface_.owned,
                                  .tc_attached_unix_ms = interface_.tc_attached_unix_ms};
    const auto known = instance_.manifest().interfaces.find(interface_.name);
    if (!journaled_ && known != instance_.manifest().interfaces.end() && known->second == now) return {};
    if (auto committed = instance_.commit(interface_.name, now); !committed) return committed;
    finish_handover(kernel_, interface_);
    return {};
}

// What programs wrote to a map that was being merged is gone with it; the text says so.
std::string Change::take_back_maps() {
    std::string told;
    for (auto& [name, staged] : interface_.programs.staged()) {
        staged.took_place = false;
        if (staged.is_spoiled) told += "; what the new program wrote meanwhile is lost in map " + name;
    }
    if (auto renewed = renew_spoiled_maps(kernel_, interface_); !renewed)
        told += "; and no map can be carried over: " + renewed.error().what;
    return told;
}

std::string Change::roll_back() {
    const auto mode = interface_.link ? std::optional(interface_.link->mode()) : std::nullopt;
    interface_.link.reset(); // the pins know better from here on
    interface_.tc.clear();
    const std::int64_t began_ns = monotonic_ns();
    std::string failures = take_back_all(instance_, kernel_, interface_.name, undo_);
    // To take back a switch arms the guard, too. What could not be taken back is in the journal now.
    const bool stands_by = instance_.unfinished() || interface_.guard_duty == GuardDuty::stand_by;
    if (interface_.guard) interface_.guard_duty = stands_by ? GuardDuty::stand_by : GuardDuty::stand_down;
    adopt_tc(kernel_, interface_, follow_device(kernel_, interface_));
    if (mode && interface_.link && interface_.link->mode() != *mode &&
        !coexist(interface_.link->mode(), *mode))
        gap_began_ns_ = began_ns - (gap_ ? gap_->ns : 0); // at most: the switch back had a gap, too
    if (interface_.link || failures.empty()) end_gap(monotonic_ns());
    auto touched = std::exchange(interface_.owned, owned_before_);
    touched.insert(owned_before_.begin(), owned_before_.end());
    if (is_offloaded())
        if (auto copied = copy_entries(touched, interface_.link->program()); !copied)
            failures += "; undoing failed: " + copied.error().what;
    interface_.attached_unix_ms = attached_before_unix_ms_;
    interface_.tc_attached_unix_ms = tc_attached_before_unix_ms_;
    failures += take_back_maps();
    return failures;
}

} // namespace homeostat::bpf

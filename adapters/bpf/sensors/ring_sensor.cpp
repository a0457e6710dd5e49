#include "adapters/bpf/sensors/ring_sensor.hpp"

#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/libbpf_log.hpp"
#include "adapters/bpf/maps/key_labels.hpp"

#include <bpf/libbpf.h>
#include <sys/epoll.h>

#include <cerrno>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace homeostat::bpf {

namespace {

struct FreeRing {
    void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
};

struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

// What a callback returns to stop libbpf's walk after the record that was just taken.
constexpr int taken_enough = -ECANCELED;

constexpr Duration counters_told_every{100};

} // namespace

// Entry number n owns the series numbers n * width and on: its gauges, then its counter. Behind those of
// all entries come the rings' counters of short records.
class RingSensor::State {
  public:
    static Result<std::unique_ptr<State>> create(SensorId id, const RingSensorSpec& spec,
                                                 std::size_t series_max, std::vector<InterfaceMap> maps);
    void collect(Instant now, Readings& out);

    Descriptor readable; // an epoll set of the rings
    RingSensorSpec spec;

  private:
    // A label set on one interface.
    struct Entry {
        std::string key; // the bytes of the label fields
        std::size_t ring = 0;
        std::vector<Label> labels;
        std::vector<double> newest; // one for each field
        std::uint64_t records = 0;
        Instant renewed{};
        std::optional<Instant> told; // when samples were last handed out
        bool news = false;           // not handed out yet
        bool gauges_live = false;
        bool counter_live = false;
    };

    struct Ring {
        State* owner;
        std::size_t number;
        std::string interface;
        Descriptor map;
        std::unique_ptr<ring_buffer, FreeRing> buffer{};
        std::unordered_map<std::string, std::uint32_t, TextHash, std::equal_to<>> index{};
        std::size_t taken = 0; // in this call
        std::uint64_t short_records = 0;
        std::uint64_t short_records_told = 0;
    };

    Result<void> add(InterfaceMap map);
    Result<void> consume(Ring& ring) const;
    static int take(void* ring, void* data, std::size_t size);
    void take(Ring& ring, std::span<const std::byte> record);
    std::optional<std::uint32_t> look_up(Ring& ring, std::span<const std::byte> record);
    void tell_all(SampleBatch& batch);
    void tell(std::uint32_t number, SampleBatch& batch);
    void tell_short_records(Ring& ring, SampleBatch& batch);
    void end_old(SampleBatch& batch);
    void tell_resting_counters(SampleBatch& batch);

    Labels series(const Entry& entry, const std::string& metric, const std::vector<Label>& more) const;
    std::uint32_t local(std::size_t entry, std::size_t i) const {
        return static_cast<std::uint32_t>(entry * width_ + i);
    }

    SensorId id_{};
    std::shared_ptr<const ObjectLayout> object_;
    TypeLayout type_;
    std::vector<FieldLayout> label_fields_;
    std::vector<FieldLayout> numbers_;
    std::size_t width_ = 0; // series of an entry
    std::size_t entries_max_ = 0;
    std::vector<std::unique_ptr<Ring>> rings_;
    std::vector<Entry> entries_;
    std::vector<std::uint32_t> free_;
    std::vector<std::uint32_t> with_news_;
    std::string key_; // of the record at hand
    std::uint64_t refused_ = 0;
    std::optional<Instant> counters_told_;
    Instant now_{};
};

Result<std::unique_ptr<RingSensor::State>> RingSensor::State::create(SensorId id, const RingSensorSpec& spec,
                                                                     std::size_t series_max,
                                                                     std::vector<InterfaceMap> maps) {
    const std::string what = "sensor of ring " + spec.map + ": ";
    if (maps.empty()) return failure(what + "no loaded program has this map");
    auto state = std::make_unique<State>();
    state->spec = spec;
    state->id_ = id;
    state->object_ = maps.front().object;
    if (maps.front().layout().kind != MapLayout::Kind::ringbuf) return failure(what + "it is no ring buffer");
    const TypeLayout* type = state->object_->record(spec.record);
    if (type == nullptr) return failure(what + "no struct '" + spec.record + "' in the object's BTF");
    state->type_ = *type;
    auto labels = find_labels(spec.labels, *type, *state->object_);
    if (!labels) return failure(what + labels.error().what);
    state->label_fields_ = std::move(*labels);
    auto numbers = find_numbers(spec.fields, *type);
    if (!numbers) return failure(what + numbers.error().what);
    state->numbers_ = std::move(*numbers);
    state->width_ = spec.fields.size() + (spec.count.empty() ? 0 : 1);
    state->entries_max_ = state->width_ == 0 ? 0 : series_max / state->width_;

    state->readable = Descriptor(::epoll_create1(EPOLL_CLOEXEC));
    if (!state->readable) return failure(what + "make an epoll set: " + errno_text(errno), errno);
    for (InterfaceMap& map : maps)
        if (auto added = state->add(std::move(map)); !added) return failure(what + added.error().what);
    return state;
}

Result<void> RingSensor::State::add(InterfaceMap map) {
    const LogCapture log;
    auto ring = std::make_unique<Ring>(Ring{this, rings_.size(), map.interface, std::move(map.descriptor)});
    ring->buffer.reset(ring_buffer__new(ring->map.get(), &State::take, ring.get(), nullptr));
    if (!ring->buffer) return failure("map the ring of " + ring->interface + ": " + errno_text(errno), errno);
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(readable.get(), EPOLL_CTL_ADD, ring->map.get(), &event) != 0)
        return failure("watch the ring of " + ring->interface + ": " + errno_text(errno), errno);
    rings_.push_back(std::move(ring));
    return {};
}

void RingSensor::State::collect(Instant now, Readings& out) {
    SampleBatch batch;
    batch.sensor = id_;
    batch.time = now;
    now_ = now;
    for (const auto& ring : rings_)
        if (auto consumed = consume(*ring); !consumed)
            batch.error += (batch.error.empty() ? "" : "; ") + consumed.error().what;
    if (batch.error.empty()) tell_all(batch);
    batch.refused = std::exchange(refused_, 0);
    out.batches.push_back(std::move(batch));
}

void RingSensor::State::tell_all(SampleBatch& batch) {
    for (const auto& ring : rings_) tell_short_records(*ring, batch);
    std::vector<std::uint32_t> with_news;
    with_news.swap(with_news_);
    for (const std::uint32_t number : with_news) tell(number, batch);
    end_old(batch);
    tell_resting_counters(batch);
}

// A counter that rests is still a series: without samples, rate() would see no data instead of nothing new.
void RingSensor::State::tell_resting_counters(SampleBatch& batch) {
    if (spec.count.empty() || (counters_told_ && now_ - *counters_told_ < counters_told_every)) return;
    counters_told_ = now_;
    for (std::uint32_t number = 0; number < entries_.size(); ++number) {
        Entry& entry = entries_[number];
        if (!entry.counter_live || entry.news || (entry.told && *entry.told >= now_)) continue;
        entry.told = now_;
        batch.samples.push_back({local(number, numbers_.size()), static_cast<double>(entry.records)});
    }
}

Result<void> RingSensor::State::consume(Ring& ring) const {
    ring.taken = 0;
    const int result = ring_buffer__consume(ring.buffer.get());
    if (result >= 0 || result == taken_enough) return {};
    return failure("read ring " + spec.map + " of " + ring.interface + ": " + errno_text(result), -result);
}

int RingSensor::State::take(void* context, void* data, std::size_t size) {
    Ring& ring = *static_cast<Ring*>(context);
    State& state = *ring.owner;
    if (size < state.type_.size)
        ++ring.short_records;
    else
        state.take(ring, {static_cast<const std::byte*>(data), size});
    return ++ring.taken == records_per_collect_max ? taken_enough : 0;
}

void RingSensor::State::take(Ring& ring, std::span<const std::byte> record) {
    const auto number = look_up(ring, record);
    if (!number) return;
    Entry& entry = entries_[*number];
    for (std::size_t i = 0; i < numbers_.size(); ++i) entry.newest[i] = read_number(numbers_[i], record);
    ++entry.records;
    entry.renewed = now_;
    if (!std::exchange(entry.news, true)) with_news_.push_back(*number);
}

std::optional<std::uint32_t> RingSensor::State::look_up(Ring& ring, std::span<const std::byte> record) {
    key_.clear();
    for (const FieldLayout& field : label_fields_)
        key_.append(reinterpret_cast<const char*>(record.data()) + field.offset, field.size);
    if (const auto found = ring.index.find(std::string_view(key_)); found != ring.index.end())
        return found->second;
    if (free_.empty()) {
        if (entries_.size() == entries_max_) {
            refused_ += width_;
            return std::nullopt;
        }
        free_.push_back(static_cast<std::uint32_t>(entries_.size()));
        entries_.emplace_back();
    }
    const std::uint32_t number = free_.back();
    free_.pop_back();
    Entry& entry = entries_[number];
    entry = Entry{};
    entry.key = key_;
    entry.ring = ring.number;
    entry.labels = read_labels(spec.labels, label_fields_, *object_, record);
    entry.labels.push_back({"iface", ring.interface});
    entry.newest.resize(numbers_.size());
    ring.index.emplace(key_, number);
    return number;
}

void RingSensor::State::tell(std::uint32_t number, SampleBatch& batch) {
    Entry& entry = entries_[number];
    if (entry.told && *entry.told >= now_) { // one sample per millisecond: the news waits
        with_news_.push_back(number);
        return;
    }
    entry.told = now_;
    entry.news = false;
    for (std::size_t i = 0; i < numbers_.size(); ++i) {
        if (!entry.gauges_live)
            batch.defined.push_back(
                {local(number, i), series(entry, spec.fields[i].metric, spec.fields[i].labels)});
        batch.samples.push_back({local(number, i), entry.newest[i]});
    }
    entry.gauges_live = true;
    if (spec.count.empty()) return;
    const std::uint32_t counter = local(number, numbers_.size());
    if (!std::exchange(entry.counter_live, true))
        batch.defined.push_back({counter, series(entry, spec.count, {})});
    batch.samples.push_back({counter, static_cast<double>(entry.records)});
}

void RingSensor::State::tell_short_records(Ring& ring, SampleBatch& batch) {
    if (ring.short_records == ring.short_records_told) return;
    const auto own = static_cast<std::uint32_t>(entries_max_ * width_ + ring.number);
    if (ring.short_records_told == 0)
        batch.defined.push_back({own, Labels{{std::string(metric_name_label), "sensor_short_records_total"},
                                             {"iface", ring.interface},
                                             {"map", spec.map}}});
    batch.samples.push_back({own, static_cast<double>(ring.short_records)});
    ring.short_records_told = ring.short_records;
}

void RingSensor::State::end_old(SampleBatch& batch) {
    for (std::uint32_t number = 0; number < entries_.size(); ++number) {
        Entry& entry = entries_[number];
        if (entry.news || !(entry.gauges_live || entry.counter_live)) continue;
        const Duration age = now_ - entry.renewed;
        // The end is a sample too, and there is one in a millisecond.
        const bool is_forgotten = age >= spec.forget && entry.told < now_;
        if (entry.gauges_live && (is_forgotten || (spec.valid && age >= *spec.valid))) {
            for (std::size_t i = 0; i < numbers_.size(); ++i) batch.ended.push_back(local(number, i));
            entry.gauges_live = false;
        }
        if (entry.counter_live && is_forgotten) {
            batch.ended.push_back(local(number, numbers_.size()));
            entry.counter_live = false;
        }
        if (entry.gauges_live || entry.counter_live) continue;
        rings_[entry.ring]->index.erase(entry.key);
        free_.push_back(number);
    }
}

Labels RingSensor::State::series(const Entry& entry, const std::string& metric,
                                 const std::vector<Label>& more) const {
    std::vector<Label> labels = entry.labels;
    labels.insert(labels.end(), more.begin(), more.end());
    labels.push_back({std::string(metric_name_label), metric});
    return Labels(std::move(labels));
}

Result<std::unique_ptr<RingSensor>> RingSensor::create(SensorId id, const RingSensorSpec& spec,
                                                       std::size_t series_max,
                                                       std::vector<InterfaceMap> rings) {
    auto state = State::create(id, spec, series_max, std::move(rings));
    if (!state) return std::unexpected(state.error());
    return std::unique_ptr<RingSensor>(new RingSensor(std::move(*state)));
}

RingSensor::RingSensor(std::unique_ptr<State> state) : state_(std::move(state)) {}
RingSensor::~RingSensor() = default;

void RingSensor::collect(Instant now, Readings& out) { state_->collect(now, out); }
int RingSensor::descriptor() const { return state_->readable.get(); }
bool RingSensor::urgent() const { return state_->spec.urgent; }

} // namespace homeostat::bpf

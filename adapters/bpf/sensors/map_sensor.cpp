#include "adapters/bpf/sensors/map_sensor.hpp"

#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/maps/key_labels.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace homeostat::bpf {

namespace {

constexpr std::uint32_t batch_entries = 512;
constexpr int not_supported = -524; // the kernel's ENOTSUPP, which no header of user space names
// A bucket of a hash map may hold more than a batch; the kernel then asks for a larger one. Beyond this, give
// up.
constexpr std::uint32_t batch_entries_max = 1U << 17;

std::size_t round_up_8(std::size_t size) { return (size + 7) / 8 * 8; }

// The same number of one entry on each CPU, added up as 64-bit integers. Neither the sum nor the bytes of
// a field depend on the order of CPUs.
template <class Int> std::uint64_t sum_as(const std::byte* first, std::size_t cpus, std::size_t stride) {
    std::uint64_t sum = 0;
    for (std::size_t cpu = 0; cpu < cpus; ++cpu) {
        Int number;
        std::memcpy(&number, first + cpu * stride, sizeof number);
        sum += static_cast<std::uint64_t>(number); // of a negative number: modulo 2^64, as wanted
    }
    return sum;
}

struct Number {
    std::size_t offset;
    std::size_t size;
    bool is_signed;

    double read(const std::byte* value, std::size_t cpus, std::size_t stride) const {
        const std::byte* first = value + offset;
        if (!is_signed) {
            if (size == 8) return static_cast<double>(sum_as<std::uint64_t>(first, cpus, stride));
            if (size == 4) return static_cast<double>(sum_as<std::uint32_t>(first, cpus, stride));
            if (size == 2) return static_cast<double>(sum_as<std::uint16_t>(first, cpus, stride));
            return static_cast<double>(sum_as<std::uint8_t>(first, cpus, stride));
        }
        const auto as_signed = [](std::uint64_t sum) {
            return static_cast<double>(static_cast<std::int64_t>(sum));
        };
        if (size == 8) return as_signed(sum_as<std::int64_t>(first, cpus, stride));
        if (size == 4) return as_signed(sum_as<std::int32_t>(first, cpus, stride));
        if (size == 2) return as_signed(sum_as<std::int16_t>(first, cpus, stride));
        return as_signed(sum_as<std::int8_t>(first, cpus, stride));
    }
};

} // namespace

// What all tables of the sensor have in common, and the numbers of its series: each key of each interface
// owns a block of `width` numbers, one for each field, times the CPUs where they are kept apart.
struct MapSensor::Shape {
    MapSensorSpec spec;
    std::shared_ptr<const ObjectLayout> object;
    MapLayout map;
    std::vector<FieldLayout> labels; // of the key
    std::vector<Number> numbers;
    std::size_t cpus = 1;   // values in an entry
    std::size_t stride = 0; // bytes between them
    std::size_t width = 1;
    std::size_t blocks_max = 0;

    std::uint32_t blocks_made = 0;
    std::vector<std::uint32_t> blocks_free;
    std::vector<std::uint32_t> blocks_ended; // free only once a batch has told their end

    bool take_block(std::uint32_t& block) {
        if (!blocks_free.empty()) {
            block = blocks_free.back();
            blocks_free.pop_back();
            return true;
        }
        if (blocks_made == blocks_max) return false;
        block = blocks_made++;
        return true;
    }

    void free_ended_blocks() {
        blocks_free.insert(blocks_free.end(), blocks_ended.begin(), blocks_ended.end());
        blocks_ended.clear();
    }

    std::uint32_t local(std::uint32_t block, std::size_t i) const {
        return static_cast<std::uint32_t>(block * width + i);
    }
};

// One map of one interface. Keys nearly always come in the order of the last reading, so each remembers which
// one came next; only where that guess fails is a key hashed and looked up.
class MapSensor::Table {
  public:
    Table(Shape& shape, InterfaceMap map)
        : shape_(shape), interface_(std::move(map.interface)), map_(std::move(map.descriptor)) {
        resize(std::min(batch_entries, std::max(shape.map.max_entries, 1U)));
        entries_.push_back({}); // the place before the first key
    }

    const std::string& interface() const { return interface_; }
    void read_from(Descriptor map) { map_ = std::move(map); }

    // Fails where a look-up fails; what was put into `batch` by then must not be used as samples.
    Result<void> read(SampleBatch& batch) {
        ++round_;
        seen_ = 0;
        previous_ = 0;
        if (map_)
            if (auto walked = walk(batch); !walked) return walked;
        if (seen_ != index_.size()) end_unseen(batch);
        return {};
    }

  private:
    struct Entry {
        std::uint32_t block = 0;
        std::uint32_t next = 0;  // the entry whose key followed this one's; 0 for none
        std::uint64_t round = 0; // of the last reading that saw it
    };

    void resize(std::uint32_t entries) {
        capacity_ = entries;
        keys_.resize(entries * shape_.map.key.size);
        values_.resize(entries * shape_.cpus * shape_.stride / sizeof(std::uint64_t) + 1);
    }

    Result<void> walk(SampleBatch& batch) {
        // Hash maps keep a bucket number in the position, arrays their key: four bytes each.
        std::array<std::byte, 8> position{};
        bool first = true;
        for (;;) {
            std::uint32_t count = capacity_;
            const int error =
                bpf_map_lookup_batch(map_.get(), first ? nullptr : position.data(), position.data(),
                                     keys_.data(), values_.data(), &count, nullptr);
            if (error == -ENOSPC && capacity_ < batch_entries_max) {
                resize(capacity_ * 2);
                continue;
            }
            if (error == -EINTR) continue;
            if (error == not_supported && first) return walk_singly(batch);
            if (error != 0 && error != -ENOENT)
                return failure("read map " + shape_.map.name + " of " + interface_ + ": " +
                                   errno_text(error) + capability_hint(error),
                               -error);
            take(count, batch); // the last batch, too, has its entries
            if (error == -ENOENT) return {};
            first = false;
        }
    }

    // Maps in a network card have no batches.
    Result<void> walk_singly(SampleBatch& batch) {
        std::vector<std::byte> key(shape_.map.key.size), next(key.size());
        for (std::uint32_t seen = 0;; ++seen) {
            int error = bpf_map_get_next_key(map_.get(), seen == 0 ? nullptr : key.data(), next.data());
            if (error == -ENOENT || seen == shape_.map.max_entries) return {};
            key = next;
            if (error == 0) error = bpf_map_lookup_elem(map_.get(), key.data(), values_.data());
            if (error == -ENOENT) continue; // it has just gone
            if (error != 0)
                return failure("read map " + shape_.map.name + " of " + interface_ + ": " +
                                   errno_text(error) + capability_hint(error),
                               -error);
            std::ranges::copy(key, keys_.begin());
            take(1, batch);
        }
    }

    void take(std::uint32_t count, SampleBatch& batch) {
        const std::size_t key_size = shape_.map.key.size;
        const std::size_t value_size = shape_.cpus * shape_.stride;
        const auto* value = reinterpret_cast<const std::byte*>(values_.data());
        const std::byte* key = keys_.data();
        for (std::uint32_t i = 0; i < count; ++i, key += key_size, value += value_size) {
            if (shape_.spec.skip_zero && all_zero(value)) continue;
            const std::uint32_t id = find({key, key_size}, batch);
            if (id == 0) continue;
            Entry& entry = entries_[id];
            if (entry.round != round_) ++seen_;
            entry.round = round_;
            sample(entry.block, value, batch);
        }
    }

    void sample(std::uint32_t block, const std::byte* value, SampleBatch& batch) const {
        std::uint32_t local = shape_.local(block, 0);
        const std::size_t apart = shape_.spec.keep_cpus ? shape_.cpus : 1;
        const std::size_t together = shape_.spec.keep_cpus ? 1 : shape_.cpus;
        for (std::size_t cpu = 0; cpu < apart; ++cpu, value += shape_.stride)
            for (const Number& number : shape_.numbers)
                batch.samples.push_back({local++, number.read(value, together, shape_.stride)});
    }

    bool all_zero(const std::byte* value) const {
        for (const Number& number : shape_.numbers)
            for (std::size_t cpu = 0; cpu < shape_.cpus; ++cpu)
                if (number.read(value + cpu * shape_.stride, 1, 0) != 0) return false;
        return true;
    }

    const std::byte* key_of(std::uint32_t entry) const { return &known_keys_[entry * shape_.map.key.size]; }

    // The key's entry, made and defined where it is new; 0 where it was refused.
    std::uint32_t find(std::span<const std::byte> key, SampleBatch& batch) {
        std::uint32_t id = entries_[previous_].next;
        if (id == 0 || std::memcmp(key_of(id - 1), key.data(), key.size()) != 0) {
            id = look_up(key, batch);
            if (id == 0) return 0;
            entries_[previous_].next = id;
        }
        previous_ = id;
        return id;
    }

    std::uint32_t look_up(std::span<const std::byte> key, SampleBatch& batch) {
        const std::string text(reinterpret_cast<const char*>(key.data()), key.size());
        if (const auto found = index_.find(text); found != index_.end()) return found->second;
        std::uint32_t block = 0;
        if (!shape_.take_block(block)) {
            batch.refused += shape_.width;
            return 0;
        }
        std::uint32_t id = 0;
        if (free_.empty()) {
            id = static_cast<std::uint32_t>(entries_.size());
            entries_.push_back({});
            known_keys_.resize(id * key.size());
        } else {
            id = free_.back();
            free_.pop_back();
        }
        entries_[id] = {block, 0, 0};
        std::ranges::copy(key, known_keys_.begin() + static_cast<std::ptrdiff_t>((id - 1) * key.size()));
        index_.emplace(text, id);
        define(block, key, batch);
        return id;
    }

    void define(std::uint32_t block, std::span<const std::byte> key, SampleBatch& batch) const {
        const auto of_key = read_labels(shape_.spec.key, shape_.labels, *shape_.object, key);
        std::uint32_t local = shape_.local(block, 0);
        const std::size_t apart = shape_.spec.keep_cpus ? shape_.cpus : 1;
        for (std::size_t cpu = 0; cpu < apart; ++cpu)
            for (const FieldMetric& field : shape_.spec.fields) {
                std::vector<Label> labels = of_key;
                labels.insert(labels.end(), field.labels.begin(), field.labels.end());
                labels.push_back({std::string(metric_name_label), field.metric});
                labels.push_back({"iface", interface_});
                if (shape_.spec.keep_cpus) labels.push_back({"cpu", std::to_string(cpu)});
                batch.defined.push_back({local++, Labels(std::move(labels))});
            }
    }

    void end_unseen(SampleBatch& batch) {
        for (auto known = index_.begin(); known != index_.end();) {
            Entry& entry = entries_[known->second];
            if (entry.round == round_) {
                ++known;
                continue;
            }
            for (std::size_t i = 0; i < shape_.width; ++i)
                batch.ended.push_back(shape_.local(entry.block, i));
            shape_.blocks_ended.push_back(entry.block);
            free_.push_back(known->second);
            known = index_.erase(known);
        }
        // The freed places are reused; no entry may still point to one of them as its successor.
        for (Entry& entry : entries_)
            if (entry.next != 0 && entries_[entry.next].round != round_) entry.next = 0;
        std::ranges::sort(batch.ended);
    }

    Shape& shape_;
    std::string interface_;
    Descriptor map_;
    std::uint32_t capacity_ = 0;
    std::vector<std::byte> keys_;
    std::vector<std::uint64_t> values_; // for its alignment

    std::vector<Entry> entries_;
    std::vector<std::byte> known_keys_; // of entry 1, 2, …
    std::vector<std::uint32_t> free_;
    std::unordered_map<std::string, std::uint32_t> index_;
    std::uint64_t round_ = 0;
    std::size_t seen_ = 0;
    std::uint32_t previous_ = 0;
};

MapSensor::MapSensor() = default;
MapSensor::~MapSensor() = default;

Result<std::unique_ptr<MapSensor>> MapSensor::create(SensorId id, const MapSensorSpec& spec,
                                                     std::size_t series_max, std::vector<InterfaceMap> maps) {
    const std::string what = "sensor of map " + spec.map + ": ";
    if (maps.empty()) return failure(what + "no loaded program has this map");
    auto shape = std::make_unique<Shape>();
    shape->spec = spec;
    shape->object = maps.front().object;
    shape->map = maps.front().layout();
    if (shape->map.kind == MapLayout::Kind::ringbuf || shape->map.kind == MapLayout::Kind::other)
        return failure(what + "only array, hash and LRU maps, plain or per CPU, can be read by key");
    auto labels = find_labels(spec.key, shape->map.key, *shape->object);
    if (!labels) return failure(what + labels.error().what);
    shape->labels = std::move(*labels);
    const auto fields = find_numbers(spec.fields, shape->map.value);
    if (!fields) return failure(what + fields.error().what);
    for (const FieldLayout& field : *fields)
        shape->numbers.push_back({field.offset, field.size,
                                  field.kind == FieldLayout::Kind::signed_integer ||
                                      field.kind == FieldLayout::Kind::enumeration});
    const bool per_cpu = shape->map.per_cpu();
    shape->spec.keep_cpus = spec.keep_cpus && per_cpu;
    shape->cpus = per_cpu ? static_cast<std::size_t>(libbpf_num_possible_cpus()) : 1;
    shape->stride = per_cpu ? round_up_8(shape->map.value.size) : shape->map.value.size;
    shape->width = spec.fields.size() * (shape->spec.keep_cpus ? shape->cpus : 1);
    shape->blocks_max = shape->width == 0 ? 0 : series_max / shape->width;

    std::unique_ptr<MapSensor> sensor(new MapSensor());
    sensor->id_ = id;
    sensor->shape_ = std::move(shape);
    for (InterfaceMap& map : maps) {
        if (map.handoff) sensor->handoffs_.emplace_back(map.interface, map.handoff);
        sensor->tables_.push_back(std::make_unique<Table>(*sensor->shape_, std::move(map)));
    }
    return sensor;
}

void MapSensor::collect(Instant now, Readings& out) {
    for (const auto& [interface, handoff] : handoffs_)
        if (Descriptor map = handoff->take()) read_from(interface, std::move(map));
    SampleBatch batch = std::exchange(untold_, {});
    batch.sensor = id_;
    batch.time = now;
    batch.samples.reserve(last_samples_);
    for (const auto& table : tables_)
        if (auto read = table->read(batch); !read)
            batch.error += (batch.error.empty() ? "" : "; ") + read.error().what;
    if (batch.error.empty()) {
        shape_->free_ended_blocks();
    } else {
        batch.samples.clear();
        untold_.defined.swap(batch.defined);
        untold_.ended.swap(batch.ended);
    }
    last_samples_ = batch.samples.size();
    out.batches.push_back(std::move(batch));
}

void MapSensor::read_from(const std::string& interface, Descriptor map) {
    for (const auto& table : tables_)
        if (table->interface() == interface) return table->read_from(std::move(map));
}

} // namespace homeostat::bpf

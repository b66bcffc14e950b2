// A log-linear (HDR) histogram of nanoseconds: exact counts in buckets that are at most 1/128 of their value wide.
#pragma once
#include <cstdint>
#include <vector>

class Histogram {
 public:
  void record(int64_t ns) {
    uint64_t v = ns < 0 ? 0 : static_cast<uint64_t>(ns);
    if (v > kMax) v = kMax;
    counts_[index(v)]++;
    total_++;
    if (v > max_) max_ = v;
  }

  uint64_t count() const { return total_; }
  double max_ms() const { return static_cast<double>(max_) / 1e6; }

  // Smallest recorded bucket whose cumulative count reaches the quantile; its upper edge, in milliseconds.
  double quantile_ms(double q) const {
    if (total_ == 0) return 0;
    const double exact = q * static_cast<double>(total_);
    uint64_t rank = static_cast<uint64_t>(exact);
    if (static_cast<double>(rank) < exact || rank == 0) rank++;
    uint64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); i++) {
      seen += counts_[i];
      if (seen >= rank) {
        const uint64_t edge = upper(i);
        return static_cast<double>(edge < max_ ? edge : max_) / 1e6;
      }
    }
    return max_ms();
  }

 private:
  static constexpr int kSubBits = 8;
  static constexpr uint64_t kSub = 1ull << kSubBits;
  static constexpr uint64_t kMax = (1ull << 40) - 1;  // 18 minutes.

  static size_t index(uint64_t v) {
    if (v < kSub) return v;
    const int shift = 64 - __builtin_clzll(v) - kSubBits;
    return static_cast<size_t>(shift) * (kSub / 2) + (v >> shift);
  }

  static uint64_t upper(size_t i) {
    if (i < kSub) return i;
    const size_t shift = (i - kSub / 2) / (kSub / 2);
    const uint64_t top = i - shift * (kSub / 2);
    return ((top + 1) << shift) - 1;
  }

  std::vector<uint64_t> counts_ = std::vector<uint64_t>(kSub + (40 - kSubBits + 1) * (kSub / 2));
  uint64_t total_ = 0;
  uint64_t max_ = 0;
};

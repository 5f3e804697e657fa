// What /metrics answers: Prometheus's text format, version 0.0.4.
//
//   MetricsPage page;
//   page.Gauge("hive_term", "Highest term seen", 7);
//   page.Begin("hive_write_state", MetricType::kGauge, "1 for the state that holds");
//   page.Add("state", "open", 1);
//   page.Add("state", "hold", 0);
//
// Written anew for every scrape from what the program keeps anyway, so that nothing is spent between two scrapes. Every
// family is written always, and where its label's values are known they all are: then an alert on a rate sees the first
// increase, and tests/integration/metrics_test.py can compare a scrape with docs/metrics.md.
//
// Thread rule: value type.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/duration_histogram.h"

namespace hive {

enum class MetricType : uint8_t { kGauge, kCounter, kHistogram };

class MetricsPage {
 public:
  // Begins a family; what is added belongs to it. `help`: its meaning and unit, in one line.
  void Begin(std::string_view name, MetricType type, std::string_view help);
  void Add(double value);
  void Add(std::string_view label, std::string_view label_value, double value);
  void Add(const DurationHistogram& histogram);

  // A family of one.
  void Gauge(std::string_view name, std::string_view help, double value);
  void Counter(std::string_view name, std::string_view help, double value);
  void Histogram(std::string_view name, std::string_view help, const DurationHistogram& histogram);

  // hive_build_info: the version of the binary.
  void BuildInfo();

  const std::string& text() const { return text_; }

 private:
  void Sample(std::string_view suffix, std::string_view label, std::string_view label_value, double value);

  std::string name_;  // of the family
  std::string text_;
};

}  // namespace hive

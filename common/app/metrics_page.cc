#include "common/app/metrics_page.h"

#include <charconv>
#include <cstddef>

#include "common/app/version.h"

namespace hive {
namespace {

const char* Name(MetricType type) {
  switch (type) {
    case MetricType::kGauge:
      return "gauge";
    case MetricType::kCounter:
      return "counter";
    case MetricType::kHistogram:
      return "histogram";
  }
  return "untyped";
}

// The shortest text that reads back as the same number: "7", "0.0025".
std::string Text(double number) {
  char buffer[400];  // the longest has 309 digits
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::fixed);
  return std::string(buffer, end);
}

// Backslashes and line ends, and within labels quotes.
std::string Escaped(std::string_view text, bool quotes) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\' || (quotes && c == '"')) escaped += '\\';
    if (c == '\n') {
      escaped += "\\n";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

}  // namespace

void MetricsPage::Begin(std::string_view name, MetricType type, std::string_view help) {
  name_ = name;
  text_ += "# HELP " + name_ + ' ' + Escaped(help, /*quotes=*/false) + "\n# TYPE " + name_ + ' ' + Name(type) + '\n';
}

void MetricsPage::Add(double value) { Sample("", "", "", value); }

void MetricsPage::Add(std::string_view label, std::string_view label_value, double value) {
  Sample("", label, label_value, value);
}

void MetricsPage::Add(const DurationHistogram& histogram) {
  uint64_t below = 0;
  for (size_t i = 0; i < histogram.counts.size(); ++i) {
    below += histogram.counts[i];
    const bool bounded = i < DurationHistogram::kBounds.size();
    Sample("_bucket", "le", bounded ? Text(DurationHistogram::kBounds[i]) : "+Inf", static_cast<double>(below));
  }
  Sample("_sum", "", "", histogram.sum);
  Sample("_count", "", "", static_cast<double>(below));
}

void MetricsPage::Gauge(std::string_view name, std::string_view help, double value) {
  Begin(name, MetricType::kGauge, help);
  Add(value);
}

void MetricsPage::Counter(std::string_view name, std::string_view help, double value) {
  Begin(name, MetricType::kCounter, help);
  Add(value);
}

void MetricsPage::Histogram(std::string_view name, std::string_view help, const DurationHistogram& histogram) {
  Begin(name, MetricType::kHistogram, help);
  Add(histogram);
}

void MetricsPage::BuildInfo() {
  Begin("hive_build_info", MetricType::kGauge, "1; its label is the version of the binary");
  Add("version", Version(), 1);
}

void MetricsPage::Sample(std::string_view suffix, std::string_view label, std::string_view label_value, double value) {
  text_ += name_;
  text_ += suffix;
  if (!label.empty()) {
    text_ += '{';
    text_ += label;
    text_ += "=\"" + Escaped(label_value, /*quotes=*/true) + "\"}";
  }
  text_ += ' ' + Text(value) + '\n';
}

}  // namespace hive

#include "config/templates/templates.h"

#include "weir/config.h"

namespace weir {
namespace {

// The first line of a template says what it is for.
std::string_view SummaryOf(std::string_view yaml) {
  std::string_view line = yaml.substr(0, yaml.find('\n'));
  line.remove_prefix(line.starts_with("# ") ? 2 : 0);
  return line;
}

}  // namespace

const std::vector<ConfigTemplate>& ConfigTemplates() {
  static const std::vector<ConfigTemplate> templates = [] {
    std::vector<ConfigTemplate> all;
    for (const std::string_view name :
         {"public-api", "login", "uploads", "graphql", "llm-tokens", "webhooks", "internal-grpc"}) {
      const std::string_view yaml = config::TemplateText(name);
      all.push_back({name, SummaryOf(yaml), yaml});
    }
    return all;
  }();
  return templates;
}

std::string_view SampleConfig() { return config::TemplateText("sample"); }

}  // namespace weir

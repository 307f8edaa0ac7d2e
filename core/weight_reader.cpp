#include "core/weight_reader.h"

#include <algorithm>
#include <exception>
#include <numeric>
#include <utility>

#include "kernels/parallel.h"

namespace mimi {

void WeightReader::add(std::vector<TensorSpec> tensors, std::function<void()> pack) {
  if (!keeps_) pack = nullptr;
  parts_.push_back({std::move(tensors), std::move(pack)});
}

std::vector<TensorSpec> WeightReader::tensors() const {
  std::vector<TensorSpec> all;
  for (const Part& part : parts_) all.insert(all.end(), part.tensors.begin(), part.tensors.end());
  return all;
}

void WeightReader::read(const Part& part) const {
  if (part.pack) part.pack();
  for (const TensorSpec& tensor : part.tensors) {
    if (!part.pack) checkpoint_.check(tensor);
    checkpoint_.release(tensor);
  }
}

void WeightReader::run(int threads) {
  const auto values = [this](std::size_t part) {
    std::int64_t count = 0;
    for (const TensorSpec& tensor : parts_[part].tensors) count += tensor.values();
    return count;
  };
  // The largest first, so that threads end together.
  std::vector<std::size_t> order(parts_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater<>(), values);

  std::vector<std::exception_ptr> errors(parts_.size());
  kernels::parallel_for(threads, static_cast<int>(order.size()), [&](int task, int) {
    const std::size_t part = order[static_cast<std::size_t>(task)];
    try {
      read(parts_[part]);
    } catch (...) {
      errors[part] = std::current_exception();
    }
  });
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace mimi

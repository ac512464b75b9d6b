#include "pipelines/quality/segmentation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <opencv2/imgproc.hpp>

namespace bitreel::quality {
namespace {

constexpr double background_reach = 20;    // Lab distance that still counts as the background's colour
constexpr double background_share = 0.35;  // of the clip; two grown objects leave about half
constexpr float foreground_least = 10;     // Lab distance from the background, without noise
constexpr float least_purity = 0.4F;       // of a pixel whose colour is taken for an object's
constexpr double colour_pixels = 4;        // pure pixels per frame, on average, that make a colour an object's
constexpr double smallest_object = 12;     // pixels in a frame

double distance_between(const cv::Vec3f& a, const cv::Vec3f& b) {
  return cv::norm(a - b);
}

// Per channel, so that a few odd pixels do not move it.
cv::Vec3f median_of(std::vector<cv::Vec3f>& values) {
  cv::Vec3f result;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  for (int c = 0; c < 3; ++c) {
    std::nth_element(values.begin(), middle, values.end(),
                     [c](const cv::Vec3f& a, const cv::Vec3f& b) { return a[c] < b[c]; });
    result[c] = (*middle)[c];
  }
  return result;
}

cv::Vec3f rgb_of(const cv::Vec3f& lab) {
  cv::Mat pixel(1, 1, CV_32FC3, cv::Scalar(lab[0], lab[1], lab[2])), rgb;
  cv::cvtColor(pixel, rgb, cv::COLOR_Lab2RGB);
  return rgb.at<cv::Vec3f>(0, 0);
}

// The fullest of 16 x 16 x 16 boxes of colour over the whole clip.
cv::Vec3f commonest_colour(const Clip& clip) {
  constexpr int side = 16;
  std::vector<int> count(std::size_t{side} * side * side);
  const auto box = [](const cv::Vec3f& p) {
    int index = 0;
    for (int c = 0; c < 3; ++c) index = index * side + std::clamp(static_cast<int>(p[c] * side), 0, side - 1);
    return index;
  };
  for (const cv::Mat& frame : clip.rgb)
    for (const auto& pixel : cv::Mat_<cv::Vec3f>(frame)) ++count[box(pixel)];
  const auto fullest = static_cast<int>(std::ranges::max_element(count) - count.begin());
  cv::Vec3f sum;
  for (const cv::Mat& frame : clip.rgb)
    for (const auto& pixel : cv::Mat_<cv::Vec3f>(frame))
      if (box(pixel) == fullest) sum += pixel;
  return sum / std::max(1, count[fullest]);
}

cv::Mat distance_map(const cv::Mat& lab, const cv::Vec3f& colour) {
  cv::Mat difference = lab - cv::Scalar(colour[0], colour[1], colour[2]), channels[3], sum;
  cv::multiply(difference, difference, difference);
  cv::split(difference, channels);
  cv::sqrt(channels[0] + channels[1] + channels[2], sum);
  return sum;
}

// Of a map of distances from the background: edges lie lower than the insides beside them.
cv::Mat purity_of(const cv::Mat& distance) {
  constexpr double shortfall = 0.08;  // of the highest around, at which little of the purity is left
  cv::Mat highest, lack, pure;
  cv::dilate(distance, highest, cv::Mat::ones(5, 5, CV_8U));
  cv::divide(highest - distance, highest + 1e-3, lack);
  cv::exp(lack.mul(lack) * (-1 / (shortfall * shortfall)), pure);
  return pure;
}

// How much background pixels waver over time, away from objects, in 8-bit levels.
double flicker_of(const Clip& clip, const std::vector<cv::Mat>& foreground) {
  const cv::Size size = clip.rgb[0].size();
  cv::Mat count = cv::Mat::zeros(size, CV_32F), sum = cv::Mat::zeros(size, CV_32F), square = sum.clone();
  for (size_t t = 0; t < clip.rgb.size(); ++t) {
    cv::Mat near, grey, away;
    cv::dilate(foreground[t], near, cv::Mat::ones(9, 9, CV_8U));
    cv::transform(clip.rgb[t], grey, cv::Matx13f(1 / 3.F, 1 / 3.F, 1 / 3.F));
    cv::bitwise_not(near, away);
    cv::add(count, cv::Scalar(1), count, away);
    cv::add(sum, grey, sum, away);
    cv::add(square, grey.mul(grey), square, away);
  }
  double total = 0;
  int pixels = 0;
  for (int y = 0; y < size.height; ++y)
    for (int x = 0; x < size.width; ++x) {
      const float n = count.at<float>(y, x);
      if (n < 5) continue;
      const double mean = sum.at<float>(y, x) / n;
      total += std::sqrt(std::max(0.0, square.at<float>(y, x) / n - mean * mean));
      ++pixels;
    }
  return pixels > 0 ? 255 * total / pixels : 0;
}

size_t nearest(const std::vector<NamedColour>& palette, const cv::Vec3f& lab) {
  const auto distance = [&](const NamedColour& colour) { return distance_between(colour.lab, lab); };
  return static_cast<size_t>(std::ranges::min_element(palette, {}, distance) - palette.begin());
}

// Pixels that show one colour unmixed, in pieces of some size: specks at edges look like a third colour.
cv::Mat seeds_of(size_t colour, const cv::Mat& lab, const cv::Mat& pure, const cv::Mat& where,
                 const std::vector<NamedColour>& colours) {
  cv::Mat seeds(lab.size(), CV_8U, cv::Scalar(0)), pieces, stats, centroids;
  for (int y = 0; y < lab.rows; ++y)
    for (int x = 0; x < lab.cols; ++x)
      if (where.at<uchar>(y, x) != 0 && pure.at<float>(y, x) > least_purity &&
          nearest(colours, lab.at<cv::Vec3f>(y, x)) == colour)
        seeds.at<uchar>(y, x) = 255;
  const int count = cv::connectedComponentsWithStats(seeds, pieces, stats, centroids);
  int largest = 0;
  for (int i = 1; i < count; ++i) largest = std::max(largest, stats.at<int>(i, cv::CC_STAT_AREA));
  for (int i = 1; i < count; ++i)
    if (stats.at<int>(i, cv::CC_STAT_AREA) * 4 < largest) seeds.setTo(0, pieces == i);
  return seeds;
}

// How far a pixel is from every mixture of background and object, in RGB.
float unexplained(const cv::Vec3f& pixel, const cv::Vec3f& background, const cv::Vec3f& object) {
  const cv::Vec3f direction = object - background, offset = pixel - background;
  const float share = std::clamp(offset.dot(direction) / std::max(1e-4F, direction.dot(direction)), 0.F, 1.F);
  return static_cast<float>(cv::norm(offset - share * direction));
}

// The colour that explains a whole piece of the foreground, -1 when none does: objects that touch.
int only_owner(const cv::Mat& piece, const cv::Mat& smooth, const cv::Vec3f& background,
               const std::vector<NamedColour>& colours) {
  constexpr float odd = 0.12F;             // distance from the mixtures that is not noise
  constexpr double most_odd_share = 0.08;  // of the pixels
  int owner = -1;
  double least = std::numeric_limits<double>::max();
  const double area = cv::countNonZero(piece);
  for (size_t k = 0; k < colours.size(); ++k) {
    double error = 0, odd_pixels = 0;
    for (int y = 0; y < piece.rows; ++y)
      for (int x = 0; x < piece.cols; ++x) {
        if (piece.at<uchar>(y, x) == 0) continue;
        const float distance = unexplained(smooth.at<cv::Vec3f>(y, x), background, colours[k].rgb);
        error += distance * distance;
        odd_pixels += distance > odd ? 1 : 0;
      }
    if (error >= least) continue;
    least = error;
    owner = odd_pixels < most_odd_share * area ? static_cast<int>(k) : -1;
  }
  return owner;
}

// Each pixel to the colour whose seeds are nearest: edges mix two colours and may look like a third.
void share_out(const cv::Mat& piece, const cv::Mat& lab, const cv::Mat& pure, const std::vector<NamedColour>& colours,
               cv::Mat& owners) {
  std::vector<cv::Mat> to_seed;
  for (size_t k = 0; k < colours.size(); ++k)
    cv::distanceTransform(~seeds_of(k, lab, pure, piece, colours), to_seed.emplace_back(), cv::DIST_L2, 3);
  for (int y = 0; y < piece.rows; ++y)
    for (int x = 0; x < piece.cols; ++x) {
      if (piece.at<uchar>(y, x) == 0) continue;
      const auto closest = std::ranges::min_element(to_seed, {}, [&](const cv::Mat& m) { return m.at<float>(y, x); });
      owners.at<int>(y, x) = static_cast<int>(closest - to_seed.begin());
    }
}

// For every pixel the colour it belongs to, -1 for background.
cv::Mat owners_of(const Clip& clip, const Background& background, size_t t, const std::vector<NamedColour>& colours) {
  cv::Mat owners(clip.lab[t].size(), CV_32S, cv::Scalar(-1)), pieces;
  if (colours.size() == 1) {
    owners.setTo(0, background.foreground[t]);
    return owners;
  }
  const int count = cv::connectedComponents(background.foreground[t], pieces);
  for (int i = 1; i < count; ++i) {
    const cv::Mat piece = pieces == i;
    const int owner = only_owner(piece, clip.smooth[t], background.per_frame[t], colours);
    if (owner >= 0)
      owners.setTo(owner, piece);
    else
      share_out(piece, clip.lab[t], background.pure[t], colours, owners);
  }
  return owners;
}

// The connected piece with the most coverage; pieces that touch the other object may be joined behind it.
cv::Mat main_piece(const cv::Mat& coverage, const cv::Mat& others) {
  cv::Mat present = coverage > 0.3F, joined, pieces;
  cv::dilate(present, joined, cv::Mat::ones(3, 3, CV_8U));
  cv::bitwise_or(joined, others, joined);
  const int count = cv::connectedComponents(joined, pieces);
  std::vector<double> weight(static_cast<size_t>(count));
  for (int y = 0; y < coverage.rows; ++y)
    for (int x = 0; x < coverage.cols; ++x)
      if (joined.at<uchar>(y, x) != 0) weight[pieces.at<int>(y, x)] += coverage.at<float>(y, x);
  const auto best = std::ranges::max_element(weight) - weight.begin();
  return best == 0 ? cv::Mat::zeros(coverage.size(), CV_8U) : cv::Mat(pieces == static_cast<int>(best));
}

// How much of each pixel the object's colour explains, where the rest is background.
cv::Mat mixture(const cv::Mat& rgb, const cv::Vec3f& background, const cv::Vec3f& object) {
  const cv::Vec3f direction = object - background;
  const float length = std::max(1e-4F, direction.dot(direction));
  cv::Mat coverage;
  cv::transform(rgb, coverage,
                cv::Matx14f(direction[0] / length, direction[1] / length, direction[2] / length,
                            -direction.dot(background) / length));
  cv::min(coverage, 1, coverage);
  cv::max(coverage, 0, coverage);
  return coverage;
}

}  // namespace

Clip prepare(const std::vector<cv::Mat>& frames) {
  Clip clip;
  for (const cv::Mat& frame : frames) {
    cv::Mat rgb, smooth, lab;
    frame.convertTo(rgb, CV_32FC3, 1 / 255.0);
    cv::GaussianBlur(rgb, smooth, {3, 3}, 0);
    cv::cvtColor(smooth, lab, cv::COLOR_RGB2Lab);
    clip.rgb.push_back(rgb);
    clip.smooth.push_back(smooth);
    clip.lab.push_back(lab);
  }
  return clip;
}

std::optional<Background> find_background(const Clip& clip) {
  Background background;
  background.lab = lab_of(commonest_colour(clip));
  std::vector<cv::Vec3f> near;
  for (int round = 0; round < 2; ++round) {
    near.clear();
    for (const cv::Mat& frame : clip.lab)
      for (const auto& pixel : cv::Mat_<cv::Vec3f>(frame))
        if (distance_between(pixel, background.lab) < background_reach) near.push_back(pixel);
    if (near.size() < background_share * static_cast<double>(clip.lab.size() * clip.lab[0].total())) return {};
    background.lab = median_of(near);
  }
  background.rgb = rgb_of(background.lab);

  double noise = 0;
  for (const cv::Vec3f& pixel : near) noise += distance_between(pixel, background.lab);
  noise /= static_cast<double>(near.size());
  const float threshold = std::max(foreground_least, static_cast<float>(3 * noise));
  for (size_t t = 0; t < clip.lab.size(); ++t) {
    std::vector<cv::Vec3f> here;
    for (const auto& pixel : cv::Mat_<cv::Vec3f>(clip.lab[t]))
      if (distance_between(pixel, background.lab) < background_reach) here.push_back(pixel);
    const cv::Vec3f lab = here.size() > clip.lab[t].total() / 5 ? median_of(here) : background.lab;
    background.per_frame.push_back(rgb_of(lab));
    const cv::Mat distance = distance_map(clip.lab[t], lab);
    background.foreground.emplace_back(distance > threshold);
    background.pure.push_back(purity_of(distance));
  }
  background.flicker = flicker_of(clip, background.foreground);
  return background;
}

std::vector<NamedColour> find_object_colours(const Clip& clip, const Background& background, const Domain& domain,
                                             int count) {
  std::vector<double> votes(domain.colours.size());
  std::vector<std::vector<cv::Vec3f>> voters(domain.colours.size());
  for (size_t t = 0; t < clip.lab.size(); ++t)
    for (int y = 0; y < clip.lab[t].rows; ++y)
      for (int x = 0; x < clip.lab[t].cols; ++x) {
        if (background.foreground[t].at<uchar>(y, x) == 0) continue;
        const cv::Vec3f lab = clip.lab[t].at<cv::Vec3f>(y, x);
        const size_t colour = nearest(domain.colours, lab);
        if (distance_between(lab, background.lab) < distance_between(lab, domain.colours[colour].lab)) continue;
        const float pure = background.pure[t].at<float>(y, x);
        votes[colour] += pure;
        if (pure > least_purity) voters[colour].push_back(lab);
      }
  std::vector<size_t> order(votes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, [&](size_t a, size_t b) { return votes[a] > votes[b]; });
  std::vector<NamedColour> found;
  for (const size_t colour : order) {
    if (static_cast<int>(found.size()) == count || votes[colour] < colour_pixels * static_cast<double>(clip.lab.size()))
      break;
    NamedColour seen = domain.colours[colour];
    if (!voters[colour].empty()) seen.lab = median_of(voters[colour]);
    seen.rgb = rgb_of(seen.lab);
    found.push_back(seen);
  }
  return found;
}

std::vector<Layer> separate(const Clip& clip, const Background& background, const std::vector<NamedColour>& colours) {
  std::vector<Layer> layers(colours.size());
  std::vector<double> kept(colours.size()), lost(colours.size());
  for (size_t t = 0; t < clip.rgb.size(); ++t) {
    const cv::Mat owners = owners_of(clip, background, t, colours);
    for (size_t k = 0; k < colours.size(); ++k) {
      cv::Mat mine = owners == static_cast<int>(k), foreign = background.foreground[t] & ~mine, near;
      cv::dilate(mine, near, cv::Mat::ones(3, 3, CV_8U));
      cv::Mat coverage = mixture(clip.rgb[t], background.per_frame[t], colours[k].rgb);
      coverage.setTo(0, foreign | ~near);
      const cv::Mat piece = main_piece(coverage, foreign);

      cv::Mat beside, ignored;
      cv::bitwise_and(coverage > 0.3F, ~piece, beside);
      const double beside_pixels = cv::countNonZero(beside);
      coverage.setTo(0, ~piece);
      cv::dilate(foreign, foreign, cv::Mat::ones(3, 3, CV_8U));
      cv::bitwise_or(foreign, beside, ignored);
      cv::dilate(ignored, ignored, cv::Mat::ones(3, 3, CV_8U));
      ignored.setTo(0, coverage > 0.9F);
      cv::Mat weight(coverage.size(), CV_32F, cv::Scalar(1));
      weight.setTo(0, ignored);

      const double area = cv::sum(coverage)[0];
      kept[k] += area;
      lost[k] += beside_pixels;
      if (area < smallest_object) coverage.setTo(0);
      layers[k].area.push_back(area < smallest_object ? 0 : area);
      layers[k].patches.push_back({.coverage = coverage, .weight = weight});
    }
  }
  for (size_t k = 0; k < colours.size(); ++k) {
    layers[k].lab = colours[k].lab;
    layers[k].stray = kept[k] > 0 ? lost[k] / kept[k] : 0;
  }
  return layers;
}

}  // namespace bitreel::quality

#include "pipelines/image/image_coders.h"

#include <ATen/ATen.h>

#include "attention/attention.h"

namespace bitreel {
namespace {

constexpr double norm_eps = 1e-6;

at::Tensor doubled(const at::Tensor& x) {
  const std::vector<std::int64_t> size = {2 * x.size(2), 2 * x.size(3)};
  return at::upsample_nearest2d(x, at::OptionalIntArrayRef(size), std::nullopt);
}

}  // namespace

Conv2d::Conv2d(const Scope& scope, std::int64_t in, std::int64_t out, std::int64_t kernel)
    : weight(scope.tensor("weight", {out, in, kernel, kernel})), bias(scope.tensor("bias", {out})) {}

at::Tensor Conv2d::operator()(const at::Tensor& x) const {
  return at::conv2d(x, weight, bias, /*stride=*/1, /*padding=*/weight.size(2) / 2);
}

at::Tensor Conv2d::halve(const at::Tensor& x) const {
  return at::conv2d(at::constant_pad_nd(x, {0, 1, 0, 1}), weight, bias, /*stride=*/2);
}

ImageResnet::ImageResnet(const Scope& scope, std::int64_t in, std::int64_t out, std::int64_t groups)
    : norm1(scope / "norm1", in, groups, norm_eps),
      norm2(scope / "norm2", out, groups, norm_eps),
      conv1(scope / "conv1", in, out, 3),
      conv2(scope / "conv2", out, out, 3) {
  if (in != out) conv_shortcut.emplace(scope / "conv_shortcut", in, out, 1);
}

at::Tensor ImageResnet::operator()(const at::Tensor& x) const {
  const at::Tensor h = conv2(at::silu(norm2(conv1(at::silu(norm1(x))))));
  return (conv_shortcut ? (*conv_shortcut)(x) : x) + h;
}

ImageAttention::ImageAttention(const Scope& scope, const Weights& weights, const std::string& prefix,
                               std::int64_t channels, std::int64_t groups, std::string attention_backend)
    : group_norm(scope / "group_norm", channels, groups, norm_eps), backend(std::move(attention_backend)) {
  const bool old = weights.has(prefix + ".query.weight");
  to_q = Linear(scope / (old ? "query" : "to_q"), channels, channels);
  to_k = Linear(scope / (old ? "key" : "to_k"), channels, channels);
  to_v = Linear(scope / (old ? "value" : "to_v"), channels, channels);
  to_out = Linear(old ? scope / "proj_attn" : scope / "to_out" / 0, channels, channels);
}

at::Tensor ImageAttention::operator()(const at::Tensor& x) const {
  const at::Tensor positions = group_norm(x).flatten(2).transpose(1, 2);  // [B, h w, C]
  const auto one_head = [](const at::Tensor& projected) { return projected.unsqueeze(1); };
  const at::Tensor attended =
      attend(one_head(to_q(positions)), one_head(to_k(positions)), one_head(to_v(positions)), {.backend = backend})
          .squeeze(1);
  return to_out(attended).transpose(1, 2).reshape(x.sizes()) + x;
}

ImageMidBlock::ImageMidBlock(const Scope& coder, const std::string& coder_name, std::int64_t channels,
                             const AutoencoderKlConfig& config, const std::string& attention_backend) {
  const Scope scope = coder / "mid_block";
  for (int i = 0; i < 2; ++i) resnets.emplace_back(scope / "resnets" / i, channels, channels, config.norm_num_groups);
  if (config.mid_block_add_attention) {
    attention.emplace(scope / "attentions" / 0, coder.loader().weights(), coder_name + ".mid_block.attentions.0",
                      channels, config.norm_num_groups, attention_backend);
  }
}

at::Tensor ImageMidBlock::operator()(const at::Tensor& x) const {
  const at::Tensor first = resnets[0](x);
  return resnets[1](attention ? (*attention)(first) : first);
}

ImageEncoder::ImageEncoder(const Scope& root, const AutoencoderKlConfig& config, const std::string& attention_backend) {
  const Scope scope = root / "encoder";
  const std::vector<std::int64_t>& widths = config.block_out_channels;
  conv_in_ = Conv2d(scope / "conv_in", 3, widths.front(), 3);
  std::int64_t in = widths.front();
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const Scope place = scope / "down_blocks" / static_cast<std::int64_t>(i);
    ImageLevel& level = levels_.emplace_back();
    for (std::int64_t j = 0; j < config.layers_per_block; ++j) {
      level.resnets.emplace_back(place / "resnets" / j, j == 0 ? in : widths[i], widths[i], config.norm_num_groups);
    }
    if (i + 1 < widths.size()) level.resample.emplace(place / "downsamplers" / 0 / "conv", widths[i], widths[i], 3);
    in = widths[i];
  }
  mid_ = ImageMidBlock(scope, "encoder", in, config, attention_backend);
  conv_norm_out_ = GroupNorm(scope / "conv_norm_out", in, config.norm_num_groups, norm_eps);
  const std::int64_t moments = 2 * config.latent_channels;
  conv_out_ = Conv2d(scope / "conv_out", in, moments, 3);
  if (config.use_quant_conv) quant_conv_.emplace(root / "quant_conv", moments, moments, 1);
}

at::Tensor ImageEncoder::operator()(const at::Tensor& pixels) const {
  at::Tensor x = conv_in_(pixels);
  for (const ImageLevel& level : levels_) {
    for (const ImageResnet& resnet : level.resnets) x = resnet(x);
    if (level.resample) x = level.resample->halve(x);
  }
  x = conv_out_(at::silu(conv_norm_out_(mid_(x))));
  return quant_conv_ ? (*quant_conv_)(x) : x;
}

ImageDecoder::ImageDecoder(const Scope& root, const AutoencoderKlConfig& config, const std::string& attention_backend) {
  const Scope scope = root / "decoder";
  const std::vector<std::int64_t> widths(config.block_out_channels.rbegin(), config.block_out_channels.rend());
  const std::int64_t latent = config.latent_channels;
  if (config.use_post_quant_conv) post_quant_conv_.emplace(root / "post_quant_conv", latent, latent, 1);
  conv_in_ = Conv2d(scope / "conv_in", latent, widths.front(), 3);
  mid_ = ImageMidBlock(scope, "decoder", widths.front(), config, attention_backend);
  std::int64_t in = widths.front();
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const Scope place = scope / "up_blocks" / static_cast<std::int64_t>(i);
    ImageLevel& level = levels_.emplace_back();
    for (std::int64_t j = 0; j <= config.layers_per_block; ++j) {
      level.resnets.emplace_back(place / "resnets" / j, j == 0 ? in : widths[i], widths[i], config.norm_num_groups);
    }
    if (i + 1 < widths.size()) level.resample.emplace(place / "upsamplers" / 0 / "conv", widths[i], widths[i], 3);
    in = widths[i];
  }
  conv_norm_out_ = GroupNorm(scope / "conv_norm_out", in, config.norm_num_groups, norm_eps);
  conv_out_ = Conv2d(scope / "conv_out", in, 3, 3);
}

at::Tensor ImageDecoder::operator()(const at::Tensor& latents) const {
  at::Tensor x = mid_(conv_in_(post_quant_conv_ ? (*post_quant_conv_)(latents) : latents));
  for (const ImageLevel& level : levels_) {
    for (const ImageResnet& resnet : level.resnets) x = resnet(x);
    if (level.resample) x = (*level.resample)(doubled(x));
  }
  return conv_out_(at::silu(conv_norm_out_(x)));
}

}  // namespace bitreel

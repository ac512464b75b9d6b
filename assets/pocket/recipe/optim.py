"""The optimiser of both networks, and a step recorded once as a CUDA graph and then replayed.

The networks hold bf16 weights, as they will in use; the optimiser holds fp32 masters of them. Matrices take Muon's step
(arXiv 2502.16982: the momentum's nearest orthogonal matrix, scaled to Adam's step size), everything else AdamW's.
Nothing here waits for the device and the learning rate is a tensor on it, so that a whole step can be recorded.
"""
import torch


def orthogonal(x, steps=5):
    """Matrices [k, m, n] to about their nearest orthogonal ones: a quintic Newton-Schulz iteration in bf16."""
    x = x.bfloat16()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.mT if tall else x).float()


class Optimiser:
    """opt = Optimiser(weights, is_matrix); loss.backward(); opt.step(). weights: name -> parameter."""

    def __init__(self, weights, is_matrix, weight_decay=0.01, momentum=0.95, clip=1.0):
        self.weights = list(weights.values())
        self.masters = [w.detach().float().contiguous().clone() for w in self.weights]
        self.averages = [m.clone() for m in self.masters]
        device = self.masters[0].device
        self.learning_rate = torch.zeros((), device=device)
        self.average_weight = torch.ones((), device=device)
        self.weight_decay, self.momentum, self.clip = weight_decay, momentum, clip
        groups, others = {}, []
        for i, (name, w) in enumerate(weights.items()):
            if w.dim() >= 2 and is_matrix(name):
                groups.setdefault((w.shape[0], w[0].numel()), []).append(i)
            else:
                others.append(i)
        self.groups = [(shape, at, torch.zeros(len(at), *shape, device=device)) for shape, at in groups.items()]
        on_gpu = device.type == "cuda"
        for m in self.masters:
            m.grad = torch.zeros_like(m)
        self.others = torch.optim.AdamW([self.masters[i] for i in others], lr=self.learning_rate, betas=(0.9, 0.98),
                                        weight_decay=weight_decay, fused=on_gpu, capturable=on_gpu)

    @torch.no_grad()
    def step(self):
        gradients = [m.grad for m in self.masters]
        torch._foreach_copy_(gradients, [w.grad for w in self.weights])
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        torch._foreach_mul_(gradients, (self.clip / (norm + 1e-6)).clamp(max=1))
        self.others.step()
        for (rows, columns), at, speed in self.groups:
            g = torch.stack([gradients[i].view(rows, columns) for i in at])
            speed.mul_(self.momentum).add_(g)
            change = orthogonal(g + self.momentum * speed) * (0.2 * max(rows, columns) ** 0.5 * self.learning_rate)
            keep = 1 - self.learning_rate * self.weight_decay
            for i, c in zip(at, change):
                self.masters[i].mul_(keep).sub_(c.view_as(self.masters[i]))
        difference = torch._foreach_sub(self.masters, self.averages)
        torch._foreach_mul_(difference, self.average_weight)
        torch._foreach_add_(self.averages, difference)
        torch._foreach_copy_(self.weights, self.masters)
        for w in self.weights:
            w.grad = None

    def set(self, learning_rate, average_weight=1.0):
        """For the steps to come. average_weight: how much of the masters enters their running average each step."""
        self.learning_rate.fill_(learning_rate)
        self.average_weight.fill_(average_weight)

    def averaged(self, weights):
        """name -> fp32 running average, for the names given in the order of the constructor."""
        return dict(zip(weights, self.averages))


def recorded(step, warm_up=4, pool=None):
    """step() as a CUDA graph: a function that replays it and returns the same tensor each time. On a CPU, step itself."""
    if not torch.cuda.is_available():
        return step
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(warm_up):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, pool=pool):
            result = step()
    except RuntimeError as error:
        print(f"not recorded, runs step by step: {error}", flush=True)
        torch.cuda.synchronize()
        return step

    def replay():
        graph.replay()
        return result

    return replay

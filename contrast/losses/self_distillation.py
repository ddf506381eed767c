from typing import Any

import keras
from keras import ops

from contrast.losses.per_sample import PerSampleLoss, check_target_views, swapped_cross_entropy
from contrast.typing import Tensor


@keras.saving.register_keras_serializable(package="contrast")
class SelfDistillation(PerSampleLoss):
    r"""The student must predict, from one view, what the centred and sharpened teacher says of another.

    With student logits $s_v$ of V views, teacher logits $t_u$ of the first T of them and a centre c,
    $$p_v = \mathrm{softmax}(s_v / \tau_s), \qquad q_u = \mathrm{softmax}((t_u - c) / \tau_t), \qquad
    \ell = -\frac{1}{T (V - 1)} \sum_{u \le T} \sum_{v \ne u} \sum_k q_{uk} \log p_{vk}.$$

    Use it with a momentum encoder as teacher and `contrast.layers.Centering`, which keeps the centre; without
    the centre one class takes all, without a sharp teacher all classes become equal. No gradient flows into
    teacher and centre.

    Args:
        student_temperature: positive float $\tau_s$.
        teacher_temperature: positive float $\tau_t$ where the call gives none.
        reduction: see `ContrastiveLoss`.
        name: name of the loss.

    Inputs: `y_pred` is `(batch, views, dim)` student logits; `y_true` is `(batch, first views, dim)` teacher
    logits of the full views, which come first. Further call arguments: `center`, `(dim,)` or `None` for 0;
    `teacher_temperature`, a float or a scalar tensor such as the value of a schedule.

    Raises:
        ValueError: if there are fewer than two views, more teacher views than student views, no teacher
            logits, or shapes that do not fit; or a temperature is not positive.

    Example:

    >>> loss = contrast.losses.SelfDistillation(student_temperature=0.1)
    >>> centering = contrast.layers.Centering(dim=8)
    >>> student, teacher = np.random.default_rng(0).normal(size=(2, 4, 2, 8))
    >>> value = loss(teacher, student, center=centering.value, teacher_temperature=0.04)
    >>> centering.update(teacher)
    >>> tuple(value.shape)
    ()

    Reference: [Caron et al., 2021](https://arxiv.org/abs/2104.14294), equations 1 to 4.
    """

    def __init__(
        self,
        student_temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        reduction: str | None = "mean",
        name: str = "self_distillation",
    ) -> None:
        super().__init__(reduction, name)
        _check_temperature("student_temperature", student_temperature)
        _check_temperature("teacher_temperature", teacher_temperature)
        self.student_temperature, self.teacher_temperature = student_temperature, teacher_temperature

    def call(
        self,
        y_true: Tensor,
        y_pred: Tensor,
        center: Tensor | None = None,
        teacher_temperature: float | Tensor | None = None,
    ) -> Tensor:
        teacher = check_target_views("teacher logits", self.name, y_true, y_pred)
        if teacher_temperature is None:
            teacher_temperature = self.teacher_temperature
        _check_temperature("teacher_temperature", teacher_temperature)
        if center is not None:
            center = ops.cast(ops.convert_to_tensor(center), "float32")
            if tuple(center.shape) != (y_pred.shape[-1],):
                raise ValueError(f"center must have shape ({y_pred.shape[-1]},), got {tuple(center.shape)}.")
            teacher = teacher - center
        q = ops.softmax(teacher / ops.cast(teacher_temperature, "float32"), axis=-1)
        log_p = ops.log_softmax(y_pred / self.student_temperature, axis=-1)
        return swapped_cross_entropy(ops.stop_gradient(q), log_p)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "student_temperature": self.student_temperature,
            "teacher_temperature": self.teacher_temperature,
        }


def _check_temperature(name, temperature):
    if isinstance(temperature, int | float) and not temperature > 0:
        raise ValueError(f"{name} must be positive, got {temperature}.")

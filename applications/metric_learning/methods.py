"""The losses that are compared, with the values of their papers."""

from contrast.losses import (
    PN,
    ArcFace,
    Circle,
    CosFace,
    CrossBatchMemory,
    LiftedStructure,
    MultiSimilarity,
    NPairs,
    PairContrastive,
    ProxyAnchor,
    ProxyNCA,
    SoftNearestNeighbor,
    SoftTriple,
    SupervisedContrastive,
    TripletMargin,
)

# Name: makes the loss for a number of classes and the width of the embedding.
METHODS = {
    "PairContrastive": lambda classes, dim: PairContrastive(),
    "TripletMargin, all": lambda classes, dim: TripletMargin(0.2, "all"),
    "TripletMargin, semi-hard": lambda classes, dim: TripletMargin(0.2, "semi_hard"),
    "TripletMargin, batch hard": lambda classes, dim: TripletMargin("soft", "hard"),
    "PN": lambda classes, dim: PN(),
    "LiftedStructure": lambda classes, dim: LiftedStructure(),
    "NPairs": lambda classes, dim: NPairs(),
    "SoftNearestNeighbor": lambda classes, dim: SoftNearestNeighbor(),
    "MultiSimilarity": lambda classes, dim: MultiSimilarity(),
    "Circle": lambda classes, dim: Circle(),
    "SupervisedContrastive": lambda classes, dim: SupervisedContrastive(),
    "CrossBatchMemory, pairs": lambda classes, dim: CrossBatchMemory(
        PairContrastive(0.5, power=1, distance="cosine"), size=1000, dim=dim
    ),
    "ArcFace": ArcFace,
    "CosFace": CosFace,
    "ProxyNCA": ProxyNCA,
    "ProxyAnchor": ProxyAnchor,
    "SoftTriple": SoftTriple,
}

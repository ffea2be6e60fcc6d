"""STR: soft threshold weight reparameterisation (Kusupati et al. 2020, arXiv 2002.03231).

Each layer's weights W are used as sign(W) · max(|W| - g(s), 0), with a threshold g(s) = sigmoid(s) that is learned
by the same gradient descent and weight decay as all else. In the paper the initial s and the weight decay decide
where the sparsity ends; a rung has to end at a given one. Our choices: thresholds are learned in the first part of
the training, and all move together by a common factor if needed so that the sparsity is reached; then the
criterion removes what is still too much and the masks are held.
"""

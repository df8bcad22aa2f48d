# SPDX-License-Identifier: Apache-2.0
# That the kernel is as our code takes it to be: if another one is not, this says it first.

step "a device tells no size" vm-helper size-untold /dev/dax0.0
step "a map beyond the end kills" vm-helper beyond-kills /dev/dax0.0
step "get_mempolicy() names another node" vm-helper node-misreported /dev/dax0.0
step "node numbers have gaps" vm-helper sparse

//! Ports: fixed ones on the address of a cluster, below the range that the kernel gives to outgoing connections.

/// etcd, for clients.
pub const ETCD: u16 = 26_001;
/// etcd, for its peers, of which there are none.
pub const ETCD_PEER: u16 = 26_002;
/// kube-apiserver itself.
pub const APISERVER: u16 = 26_003;
/// kube-controller-manager.
pub const CONTROLLER_MANAGER: u16 = 26_004;
/// kube-scheduler.
pub const SCHEDULER: u16 = 26_005;
/// kwok as the kubelet of the node.
pub const KUBELET: u16 = 26_006;
/// The door, through which tests and gitsync reach the API server.
pub const DOOR: u16 = 26_007;

/// All of them.
pub const ALL: [u16; 7] = [
    ETCD,
    ETCD_PEER,
    APISERVER,
    CONTROLLER_MANAGER,
    SCHEDULER,
    KUBELET,
    DOOR,
];

// SPDX-License-Identifier: BSD-2-Clause
pragma solidity ^0.8.24;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ERC721URIStorage} from
    "@openzeppelin/contracts/token/ERC721/extensions/ERC721URIStorage.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from
    "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// Characters as tokens.  A relayer mints, and only what the receiving wallet
/// has signed: the gateway's database says "once", and so does the chain.
contract Characters is ERC721URIStorage, AccessControl, EIP712 {
    bytes32 public constant RELAYER_ROLE = keccak256("RELAYER_ROLE");

    bytes32 private constant MINT_TYPEHASH = keccak256(
        "MintAuthorization(address to,string uri,"
        "uint256 deadline,bytes32 salt)"
    );

    /// digest => token id + 1; 0: not used
    mapping(bytes32 digest => uint256) private _used;
    uint256 private _nextTokenId = 1;

    event AuthorizationUsed(bytes32 indexed digest, uint256 indexed tokenId);

    error AuthorizationExpired(uint256 deadline);
    error AuthorizationReused(bytes32 digest);
    error AuthorizationInvalid(address to);

    constructor(address relayer)
        ERC721("Sallyport Characters", "CHAR")
        EIP712("Sallyport Characters", "1")
    {
        _grantRole(DEFAULT_ADMIN_ROLE, msg.sender);
        _grantRole(RELAYER_ROLE, relayer);
    }

    function mint(
        address to,
        string calldata uri,
        uint256 deadline,
        bytes32 salt,
        bytes calldata signature
    ) external onlyRole(RELAYER_ROLE) returns (uint256 tokenId) {
        if (block.timestamp > deadline) {
            revert AuthorizationExpired(deadline);
        }

        bytes32 digest = _hashTypedDataV4(
            keccak256(
                abi.encode(
                    MINT_TYPEHASH, to, keccak256(bytes(uri)), deadline, salt
                )
            )
        );

        if (_used[digest] != 0) {
            revert AuthorizationReused(digest);
        }

        if (!SignatureChecker.isValidSignatureNow(to, digest, signature)) {
            revert AuthorizationInvalid(to);
        }

        tokenId = _nextTokenId++;
        _used[digest] = tokenId + 1;

        emit AuthorizationUsed(digest, tokenId);

        // _mint and not _safeMint: a wallet contract gets no turn in between
        _mint(to, tokenId);
        _setTokenURI(tokenId, uri);
    }

    function authorizationUsed(bytes32 digest) external view returns (bool) {
        return _used[digest] != 0;
    }

    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    function supportsInterface(bytes4 interfaceId)
        public
        view
        override(ERC721URIStorage, AccessControl)
        returns (bool)
    {
        return super.supportsInterface(interfaceId);
    }
}

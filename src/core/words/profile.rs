//! Texts about one profile, on the page and in `explain`.

texts! {
    EXISTS: "
        Target has this profile, as of {0}.
        Target hat dieses Profil, Stand {0}.
        Target a ce profil, au {0}.
        Target tiene este perfil, a fecha de {0}.
        Target har profilen, enligt {0}.";
    EXISTS_NOT: "
        Target did not have this profile on {0}.
        Target hatte dieses Profil am {0} nicht.
        Target n’avait pas ce profil le {0}.
        Target no tenía este perfil el {0}.
        Target hade inte profilen {0}.";
    EXISTS_UNKNOWN: "
        It is not known whether Target has this profile.
        Ob Target dieses Profil hat, ist nicht bekannt.
        On ne sait pas si Target a ce profil.
        No se sabe si Target tiene este perfil.
        Det är inte känt om Target har profilen.";
    WAITED_FOR: "
        It has been waited for since {0}, and is looked for again on {1}.
        Seit dem {0} wird darauf gewartet; gesucht wird es wieder am {1}.
        Il est attendu depuis le {0} ; il sera cherché de nouveau le {1}.
        Se espera desde el {0} y se busca de nuevo el {1}.
        Den har väntats på sedan {0} och söks igen {1}.";
    READ_BACK: "
        There was no answer to an update, so what Target has is not known: it is read on {0}, and corrected.
        Auf ein Update kam keine Antwort, daher ist nicht bekannt, was Target hat: Es wird am {0} gelesen und berichtigt.
        Une mise à jour est restée sans réponse, on ne sait donc pas ce que Target contient : c’est lu le {0}, et corrigé.
        Una actualización quedó sin respuesta, así que no se sabe qué tiene Target: se lee el {0} y se corrige.
        En uppdatering fick inget svar, så det är inte känt vad Target har: det läses {0} och rättas.";
    WAITS: "
        What is pending waits: {0}
        Was aussteht, wartet: {0}
        Ce qui est en attente patiente : {0}
        Lo pendiente espera: {0}
        Det som återstår väntar: {0}";
    WAITS_UNTIL: "
        What is pending waits: {0}; it is tried again on {1}
        Was aussteht, wartet: {0}; neuer Versuch am {1}
        Ce qui est en attente patiente : {0} ; nouvel essai le {1}
        Lo pendiente espera: {0}; se intenta de nuevo el {1}
        Det som återstår väntar: {0}; nytt försök {1}";
    UNANSWERED: "
        {0} was sent on {1}, and there was no answer: Target may have it, or apply it late
        {0} wurde am {1} gesendet, ohne Antwort: Target hat es vielleicht, oder übernimmt es später
        {0} a été envoyé le {1}, sans réponse : Target l’a peut-être, ou l’appliquera plus tard
        {0} se envió el {1}, sin respuesta: Target quizá lo tenga, o lo aplique más tarde
        {0} skickades {1} utan svar: Target har det kanske, eller inför det senare";
}
